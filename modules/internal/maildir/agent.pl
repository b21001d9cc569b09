# Writes mailboxes below a directory as the runner asks. Frames arrive on standard input: a letter, the length of what
# follows as four bytes, fields with a NUL after each. Failures and answers leave in the same form. Runs on perl-base 5.10.
use strict;
use Fcntl;
my ($root, $staging, $number, $uid, $gid, $quarantine) = @ARGV;
binmode STDIN; binmode STDOUT; $| = 1;
$SIG{PIPE} = 'DEFAULT'; $SIG{__WARN__} = sub {};
umask 077;
my ($buf, $lost, $serial, %dirs) = ('', 0, 0);

sub reply { my ($op, $text) = @_; my $m = $op . pack('N', length $text) . $text;
  while (length $m) { my $n = syswrite STDOUT, $m; exit 1 unless defined $n; substr($m, 0, $n, ''); } }
sub failed { my ($path, $why) = @_; reply('E', "cannot write $root/$path: $why"); return 0; }
sub fill { my $want = shift;
  while (length $buf < $want) {
    my $n = sysread STDIN, $buf, 262144, length $buf;
    exit 0 unless $n;
  } }
sub parent { $_[0] =~ m{\A(.*)/[^/]*\z}s ? $1 : '' }

# Every directory on the way must be one, not a link to one.
sub way { my $dir = parent($_[0]);
  return 1 if $dir eq '' || $dirs{$dir};
  way($dir) or return 0;
  if (!lstat $dir) { return 0 }
  if (!-d _) { $! = 20; return 0 }
  %dirs = () if keys %dirs > 5000;
  return $dirs{$dir} = 1; }

sub attr { my ($path, $mode, $time) = @_;
  chown($uid, $gid, $path) && chmod($mode, $path) && ($time eq '' || utime($time, $time, $path)); }

sub store { my ($path, $size, $mode, $time) = @_;
  my $ok = sysopen(my $out, $path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  my $why = "$!";
  while ($size > 0) {
    fill(1);
    my $n = length $buf < $size ? length $buf : $size;
    my $part = substr($buf, 0, $n, '');
    $size -= $n;
    while ($ok && length $part) {
      my $done = syswrite $out, $part;
      if (!defined $done) { $why = "$!"; $ok = 0; last }
      substr($part, 0, $done, '');
    } }
  if ($ok && !(close($out) && attr($path, $mode, $time))) { $why = "$!"; $ok = 0 }
  return $ok || failed($path, $why); }

# On another file system below the root: a second copy beside the place, then a rename.
sub across { my ($from, $to) = @_;
  my @st = lstat $from or return 0;
  my $beside = (parent($to) eq '' ? '' : parent($to) . '/') . ".runner-aside-$$-" . $serial++;
  sysopen(my $in, $from, O_RDONLY) && sysopen(my $out, $beside, O_WRONLY | O_CREAT | O_EXCL, 0600) or return 0;
  my $ok = 1;
  while (1) {
    my $n = sysread $in, my $part, 262144;
    if (!defined $n) { $ok = 0; last }
    last unless $n;
    while (length $part) {
      my $done = syswrite $out, $part;
      if (!defined $done) { $ok = 0; last }
      substr($part, 0, $done, '');
    }
    last unless $ok; }
  # What sync did was for the other file system.
  $ok = $ok && eval { require IO::Handle; $out->sync } && close($out) && attr($beside, $st[2] & 07777, $st[9]) && rename($beside, $to);
  if (!$ok) { my $e = $! + 0; unlink $beside; $! = $e; return 0 }
  return unlink $from; }

sub move { my ($from, $to) = @_;
  way($to) or return failed($to, $!);
  return 1 if rename $from, $to;
  return 1 if $! == 18 && $from =~ m{\A\Q$staging\E/} && across($from, $to);
  return failed($to, $!); }

sub drop { my ($dir, @patterns) = @_;
  way("$dir/x") or return $! == 2 ? 1 : failed($dir, $!);
  opendir(my $d, $dir eq '' ? '.' : $dir) or return failed($dir, $!);
  for my $name (readdir $d) {
    for my $p (@patterns) {
      my $q = quotemeta $p; $q =~ s/\\\*/.*/;
      next unless $name =~ /\A$q\z/s && $name ne '.' && $name ne '..';
      my $path = $dir eq '' ? $name : "$dir/$name";
      unlink($path) || $! == 2 || -d $path || return failed($path, $!);
    } }
  return 1; }

sub makepath { my $path = shift;
  return 1 if -d $path;
  makepath(parent($path)) or return 0;
  return mkdir($path, 0700) || -d $path; }

sub putaside { my $path = shift;
  way($path) or return failed($path, $!);
  makepath(parent("$quarantine/$path")) && rename($path, "$quarantine/$path") or return failed($path, $!);
  return 1; }

# A directory takes the place of another that is empty, and of no other.
sub moveall { my ($from, $to) = @_;
  way($to) or return failed($to, $!);
  return 1 if rename $from, $to;
  delete $dirs{$to};
  opendir(my $d, $from) or return failed($from, $!);
  for my $name (readdir $d) {
    next if $name eq '.' || $name eq '..';
    move("$from/$name", "$to/$name") or return 0;
  }
  return rmdir($from) || failed($from, $!); }

my %do = (
  F => sub { my ($name, $size, $mode, $time) = @_; store($name, $size, $mode, $time) },
  R => sub { my ($from, $to) = @_; way($from) or return failed($from, $!); move($from, $to) },
  N => sub { my ($path, $like) = @_;
    way("$like/x") or return failed($like, $!);
    my @st = lstat $like or return failed($like, $!);
    mkdir($path, 0700) && chown($st[4], $st[5], $path) && chmod($st[2] & 07777, $path) or failed($path, $!) },
  T => sub { moveall(@_) },
  M => sub { my ($path, $mode) = @_;
    way($path) or return failed($path, $!);
    mkdir($path, 0700) || $! == 17 or return failed($path, $!);
    lstat $path; -d _ or return failed($path, 'not a directory');
    attr($path, $mode, '') or failed($path, $!) },
  D => sub { my ($path, $mode) = @_;
    way("$path/x") && attr($path, $mode, '') or failed($path, $!) },
  A => sub { my ($path, $mode, $time) = @_;
    way($path) && lstat($path) or return failed($path, $!);
    -l _ and return failed($path, 'it is a symbolic link');
    attr($path, $mode, $time) or failed($path, $!) },
  L => sub { my ($from, $to) = @_;
    way($from) && way($to) or return failed($to, $!);
    if (!link $from, $to) { return failed($to, $!) unless $! == 2; $lost++ } },
  S => sub { my ($text, $to) = @_;
    way($to) or return failed($to, $!);
    my $beside = (parent($to) eq '' ? '' : parent($to) . '/') . ".runner-link-$$-" . $serial++;
    for my $name ("$staging/$number/link-" . $serial++, $beside) {
      symlink($text, $name) && system('chown', '-h', '--', "$uid:$gid", $name) == 0 or return failed($to, $!);
      return 1 if rename $name, $to;
      my $e = $! + 0; unlink $name; $! = $e;
      last unless $e == 18; # another file system below the root
    }
    failed($to, $!) },
  C => sub { drop(@_) },
  Q => sub { putaside(@_) },
  Y => sub { system('sync -f . 2>/dev/null || sync') == 0 or failed('', 'cannot sync') },
  W => sub { reply('K', $lost) },
);

chdir $root or do { failed('', $!); exit 1 };
for my $dir ($staging, "$staging/$number") {
  mkdir($dir, 0700) || $! == 17 or do { failed($dir, $!); exit 1 };
  lstat $dir; -d _ or do { failed($dir, 'not a directory'); exit 1 };
}
while (1) {
  fill(5);
  my ($op, $length) = unpack 'a1 N', substr($buf, 0, 5, '');
  fill($length);
  my @fields = split /\0/, substr($buf, 0, $length, ''), -1;
  pop @fields;
  my $f = $do{$op} or do { failed('', "no such request: $op"); exit 1 };
  $f->(@fields);
}
