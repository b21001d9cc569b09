package modules

import (
	"context"

	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

type mysqlColumnArgs struct {
	// Host of the server.
	On *host.View `lua:"on,required"`
	// Database of the table.
	Database string `lua:"database,required"`
	// Table of the column.
	Table string `lua:"table,required"`
	// Column. It must be there unless create is set.
	Column string `lua:"column,required"`
	// Definition as in ALTER TABLE: "varchar(150) NOT NULL". What it does not say (character set, NULL, DEFAULT …) stays as it is.
	// A type that a value of the column does not fit into is refused.
	Type string `lua:"type,required"`
	// Add the column when the table does not have it.
	Create bool `lua:"create"`
	MySQLLogin
}

func (a *mysqlColumnArgs) Validate() error {
	if _, err := mysql.ParseSpec(a.Type); err != nil {
		return err
	}
	return a.check("")
}

func planMySQLColumn(ctx context.Context, a *mysqlColumnArgs) (*module.Plan, error) {
	spec, err := mysql.ParseSpec(a.Type)
	if err != nil {
		return nil, err
	}
	return mysql.ColumnChange{
		On: a.On, Login: a.login(), Database: a.Database, Table: a.Table, Column: a.Column, Spec: spec, Create: a.Create,
	}.Plan(ctx)
}
