// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type finalError struct{ error }

// Stop makes Wait give up at once with this error.
func Stop(err error) error { return finalError{err} }

// Wait asks until the condition returns nil. After limit it returns the condition's last words.
func Wait(ctx context.Context, limit time.Duration, condition func() error) error {
	deadline := time.Now().Add(limit)
	pause := 10 * time.Millisecond
	for {
		err := condition()
		if err == nil {
			return nil
		}
		var final finalError
		if errors.As(err, &final) {
			return final.error
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
		pause = min(pause*3/2, 200*time.Millisecond)
	}
}
