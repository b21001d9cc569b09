CREATE DATABASE shop CHARACTER SET utf8 COLLATE utf8_general_ci;
CREATE USER 'shop'@'localhost' IDENTIFIED BY '{{.ShopPassword}}';
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO 'shop'@'localhost';
USE shop;
SET NAMES utf8;
CREATE TABLE products (
	id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
	name varchar(80) NOT NULL,
	stock int NOT NULL
) ENGINE=InnoDB;
INSERT INTO products (name, stock) VALUES ('Coffee', 100000), ('Grüner Tee', 250), ('Cake', 12), ('Crème brûlée', 7);
CREATE TABLE orders (
	id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
	ref varchar(40) NOT NULL UNIQUE,
	product int NOT NULL,
	placed timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
	FOREIGN KEY (product) REFERENCES products (id)
) ENGINE=InnoDB;
CREATE TRIGGER ordered AFTER INSERT ON orders FOR EACH ROW UPDATE products SET stock = stock - 1 WHERE id = NEW.product;
INSERT INTO orders (ref, product) SELECT CONCAT('history-', seq), 1 + seq % 4 FROM seq_1_to_300;
