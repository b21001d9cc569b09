package maildir

import "strconv"

// staged says where the files of a batch lie until all of them are there. Many that go to one directory of a mailbox lie in a
// directory of their own: that of a new mailbox is empty until then, and takes them with one rename.
type staged struct {
	names    []string // of each file, in the staging directory
	together []bool   // whether it is one of those
	dirs     []stagedDir
}

type stagedDir struct{ name, to string }

// fewFiles is how many files are not worth a directory.
const fewFiles = 16

func (f *fetcher) stageAt(items []work) *staged {
	s := &staged{names: make([]string, len(items)), together: make([]bool, len(items))}
	for i := 0; i < len(items); {
		dir, end := dirOf(items[i].to), i+1
		for end < len(items) && dirOf(items[end].to) == dir {
			end++
		}
		// Late passes bring mail to a mailbox that is in use, and what is lenient is about other files than messages.
		together := end-i >= fewFiles && (nameOf(dir) == "cur" || nameOf(dir) == "new") && !f.o.Mode.adds() && !f.lenient
		name := "d" + strconv.Itoa(len(s.dirs))
		if together {
			s.dirs = append(s.dirs, stagedDir{name, dir})
		}
		for ; i < end; i++ {
			s.names[i], s.together[i] = strconv.Itoa(i), together
			if together {
				s.names[i] = join(name, nameOf(items[i].to))
			}
		}
	}
	return s
}
