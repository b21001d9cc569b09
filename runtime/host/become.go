package host

import (
	"bytes"
	"regexp"
)

// The programs that make somebody root; see [Options].
const (
	viaSudo = "sudo"
	viaDoas = "doas"
	viaSu   = "su"
)

// asRoot starts boot as root: at once when the user is root already, otherwise through the program that is asked for ($6), or sudo, or
// doas where there is only that. sudo reads the password from its input, after a prompt that nothing else prints. doas(1) reads it from
// a terminal only, and the su(1) of shadow, which Debian had up to 9, wants one as its input: perl, which every Debian has, makes them one.
//
// Like boot it is one line without single quotes, backslashes and exclamation marks.
const asRoot = `LC_ALL=C;export LC_ALL;test "$(id -u)" = 0&&exec "$4" -c "$1" sh "$2";` +
	`has(){ command -v "$1" >/dev/null 2>&1;};w=$6;test "$w"||{ w=sudo;has sudo||{ has doas&&w=doas;};};b="set -- $2;$1";` +
	`case $w in ` +
	`su)has perl||exec su -s "$4" -c "$b" root;exec perl -e "$5" su -s "$4" -c "exec <&9 2>&8 9<&- 8>&-;$b" root;;` +
	`doas)has perl||exec doas -n "$4" -c "$b";exec perl -e "$5" doas "$4" -c "$b";;` +
	`esac;exec sudo -S -H -p "$3" -- "$4" -c "$1" sh "$2"`

// onTerminal runs a program on a terminal of its own, in Perl 5.8 or later. What the terminal shows goes to the error output, and once
// it asks for a password one line of the input goes to the terminal: the rest of the input is not touched. su finds the terminal where its input
// and its error output should be, and these as 9 and 8. It has them back before anything else runs. doas closes all other files, and needs none.
//
// That the program has ended comes through a pipe, because this side of the terminal stays open as well: doas opens it only after a while. The handler
// of POSIX runs at once, Perl's own when a select that has begun is over. The numbers are TIOCSPTLCK and TIOCGPTN of ioctl_tty(2).
const onTerminal = `use POSIX();$no="no terminal";open(M,"+<","/dev/ptmx")or die$no;$n=pack("i",0);` +
	`ioctl(M,0x40045431,$n)&&ioctl(M,0x80045430,$n)or die$no;$t="/dev/pts/".unpack("i",$n);` +
	`pipe(E,W)or die$no;sub over{syswrite(W,"x")}` +
	`POSIX::sigaction(POSIX::SIGCHLD(),POSIX::SigAction->new("main::over",POSIX::SigSet->new,POSIX::SA_NOCLDSTOP()));` +
	`defined($p=fork)or die"no process";if($p==0){$SIG{CHLD}="DEFAULT";POSIX::setsid();` +
	`open(S,"+<",$t)or die$no;$a=POSIX::Termios->new;$a->getattr(fileno(S));$a->setlflag($a->getlflag&~POSIX::ECHO());$a->setattr(fileno(S),POSIX::TCSANOW());` +
	`if($ARGV[0]eq"su"){POSIX::dup2(0,9);POSIX::dup2(2,8);POSIX::dup2(fileno(S),0);POSIX::dup2(0,2)}` +
	`exec(@ARGV);print STDERR"$ARGV[0]: not found";POSIX::_exit(127)}` +
	`sysopen(S,$t,POSIX::O_RDWR()|POSIX::O_NOCTTY())or die$no;$r="";vec($r,fileno(M),1)=vec($r,fileno(E),1)=1;` +
	`while(1){select($w=$r,undef,undef,undef)>0||next;vec($w,fileno(M),1)||last;sysread(M,$x,4096)||last;syswrite(STDERR,$x);$s.=$x;$s=~/assword: ?$/||next;` +
	`$s=$l="";while(sysread(STDIN,$x,1)){$l.=$x;last if ord($x)==10}$l||last;syswrite(M,$l)}` +
	`close(S);close(M);waitpid($p,0);exit($?>>8||$?&127)`

// passwordPrompts are what su and doas ask with. PAM's prompt is that of the locale C.
var passwordPrompts = map[string]*regexp.Regexp{
	viaSu:   regexp.MustCompile(`(?m)assword: ?\r?$`),
	viaDoas: regexp.MustCompile(`doas \([^)\n]*\) password: `),
}

// prompts is how often a password was asked for in what was printed.
func (b *booting) prompts(text []byte) int {
	n := bytes.Count(text, []byte(b.prompt))
	switch b.options.Become {
	case viaSu:
		n += len(passwordPrompts[viaSu].FindAll(text, -1))
	case viaDoas, "":
		n += len(passwordPrompts[viaDoas].FindAll(text, -1))
	}
	return n
}

// via is the program that was to make us root.
func (b *booting) via(said string) string {
	switch {
	case b.options.Become != "":
		return b.options.Become
	case passwordPrompts[viaDoas].MatchString(said):
		return viaDoas
	}
	return viaSudo
}
