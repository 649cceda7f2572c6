package powercut

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

func TestEveryFileOperationOfInit(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.everyPoint(work{
		args:  [][]string{{"init", "--recipient", s.identity.Recipient().String(), "--no-probe"}},
		again: func(err error) bool { return strings.Contains(err.Error(), "there is a repository") },
		done: func() error {
			_, err := s.check(s.identity)
			return err
		},
	})
}

// kept makes a repository with snapshots, each of some more mail.
func (s *scene) kept(snapshots int) (texts []string) {
	s.Helper()
	s.must(s.run("init", "--recipient", s.identity.Recipient().String(), "--no-probe"))
	for i := range snapshots {
		s.receive(5*i+5, 2*i)
		s.must(s.run("backup", s.name))
	}
	texts, err := s.check(s.identity)
	s.must(err)
	if len(texts) != snapshots {
		s.Fatalf("%d snapshots", len(texts))
	}
	return texts
}

func TestEveryFileOperationOfABackup(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	old := s.kept(1)
	s.receive(12, 3)
	s.everyPoint(work{
		args: [][]string{{"backup", s.name}},
		done: func() error {
			now, err := s.check(s.identity)
			if err != nil {
				return err
			}
			fresh := 0
			for _, text := range now {
				if strings.Count(text, "\n") == 14 {
					fresh++
				}
			}
			if !slices.Contains(now, old[0]) || fresh == 0 {
				return fmt.Errorf("there are the snapshots\n%s", strings.Join(now, "\n\n"))
			}
			return nil
		},
	})
}

func TestEveryFileOperationOfForgetAndPrune(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	old := s.kept(4)
	last := slices.MaxFunc(old, func(a, b string) int { return len(a) - len(b) })
	s.everyPoint(work{
		args: [][]string{{"forget", s.name, "--keep-last", "1"}, {"prune", "--grace", "0s", "--allow-much"}},
		done: func() error {
			now, err := s.check(s.identity)
			if err == nil && !slices.Equal(now, []string{last}) {
				err = fmt.Errorf("there are %d snapshots", len(now))
			}
			return err
		},
	})
}

func TestEveryFileOperationOfKeyChanges(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	old := s.kept(1)
	s.everyPoint(work{
		args: [][]string{{"key", "add", "--recipient", s.second.Recipient().String()}},
		done: func() error {
			for _, id := range []*age.X25519Identity{s.identity, s.second} {
				now, err := s.check(id)
				if err != nil {
					return err
				}
				if !slices.Equal(now, old) {
					return fmt.Errorf("there are %d snapshots", len(now))
				}
			}
			return nil
		},
	})
}
