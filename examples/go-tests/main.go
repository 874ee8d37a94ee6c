// SPDX-License-Identifier: Apache-2.0

// gpu-watch FILE: reads a sysfs file of an accelerator ten times a second and prints a line whenever that begins to work or to fail:
// up, lost, back, lost, back, ... What a node's monitor would do; it runs in the guest.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gpu-watch FILE")
		os.Exit(2)
	}
	words := map[bool]string{true: "up", false: "lost"}
	for before := false; ; time.Sleep(100 * time.Millisecond) {
		_, err := os.ReadFile(os.Args[1])
		if works := err == nil; works != before {
			fmt.Println(words[works])
			words[true] = "back"
			before = works
		}
	}
}
