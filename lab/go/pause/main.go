// Pause holds a pod's namespaces open, reaps orphans, and ends when told to.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// kubeadm's upgrade check runs `pause -v` as a Job and waits for it to end well.
	if len(os.Args) > 1 && os.Args[1] == "-v" {
		fmt.Println("pause.go, of kubefab's lab")
		return
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
