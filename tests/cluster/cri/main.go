// SPDX-License-Identifier: Apache-2.0

// Command containerd is containerd, and ctr when it is called by that name. Its shim must be a program of its own:
// the shim's plugins would register themselves in containerd's registry.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	"github.com/containerd/containerd/v2/cmd/containerd/command"
	ctr "github.com/containerd/containerd/v2/cmd/ctr/app"
	"github.com/urfave/cli/v2"
)

func main() {
	var app *cli.App
	if filepath.Base(os.Args[0]) == "ctr" {
		app = ctr.New()
	} else {
		app = command.App()
	}
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
