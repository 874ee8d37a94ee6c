// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	apiStarts  = 2 * time.Minute // a busy host
	apiAnswers = time.Minute     // the API itself gives up on a process sooner
	apiLongest = 64 << 20        // bytes of an answer; the API's own are far below
)

// APIError is a refusal of the control API (docs/openapi/control-v1.json).
type APIError struct {
	Status  int      // of HTTP; 0: there was no answer
	Code    string   // one of the API document's, such as unknown_device
	Message string   // a sentence
	Nearest []string // names that may have been meant
}

func (e *APIError) Error() string {
	if len(e.Nearest) == 0 || strings.Contains(e.Message, "did you mean") {
		return e.Message
	}
	return fmt.Sprintf("%s (did you mean %s?)", e.Message, strings.Join(e.Nearest, ", "))
}

// api is a `mimic api` of our own, on a port of 127.0.0.1. Safe for several goroutines.
type api struct {
	serves  *background
	address string
	token   string
	client  http.Client
}

func startAPI(c *command) (*api, error) {
	serves, err := c.start("api", "--until-eof")
	if err != nil {
		return nil, err
	}
	line, err := serves.firstWords(apiStarts)
	if err != nil {
		serves.end()
		return nil, err
	}
	// http://127.0.0.1:41529  Authorization: Bearer 5d1c...
	words := strings.Fields(line)
	if len(words) != 4 {
		serves.end()
		return nil, fmt.Errorf("`mimic api` said %q, not where it serves", line)
	}
	// No proxy of the environment stands between us and ourselves.
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	return &api{serves, words[0], words[3], http.Client{Timeout: apiAnswers, Transport: transport}}, nil
}

// request returns the bytes of an answer; for any that is not 2xx, and if there is none, an *APIError.
func (a *api) request(method, path string, query url.Values, body any) ([]byte, error) {
	var data io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		data = bytes.NewReader(encoded)
	}
	target := a.address + path
	if len(query) != 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequest(method, target, data)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, &APIError{0, "unreachable", fmt.Sprintf("%s %s: no answer of `mimic api`: %v", method, path, err), nil}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, apiLongest))
	if err != nil {
		return nil, &APIError{0, "unreachable", fmt.Sprintf("%s %s: %v", method, path, err), nil}
	}
	if response.StatusCode/100 != 2 {
		return nil, refusal(response.StatusCode, answer, method+" "+path)
	}
	return answer, nil
}

// get reads the JSON of an answer into value.
func (a *api) get(path string, query url.Values, value any) error {
	return a.exchange("GET", path, query, nil, value)
}

func (a *api) exchange(method, path string, query url.Values, body, value any) error {
	answer, err := a.request(method, path, query, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, value); err != nil {
		return &APIError{200, "bad_json", fmt.Sprintf("%s %s: the answer is not what the API document says: %v", method, path, err), nil}
	}
	return nil
}

func refusal(status int, answer []byte, what string) error {
	var said struct {
		Error *struct {
			Code, Message string
			Nearest       []string
		}
	}
	if json.Unmarshal(answer, &said) != nil || said.Error == nil {
		if len(answer) > 500 {
			answer = answer[:500]
		}
		return &APIError{status, "unknown", fmt.Sprintf("%s: HTTP %d: %s", what, status, text(answer)), nil}
	}
	return &APIError{status, said.Error.Code, said.Error.Message, said.Error.Nearest}
}

// machinePath is the path of something of a machine; a name that would be more than one part of it is an error.
func machinePath(machine string, parts ...string) (string, error) {
	path := "/v1/machines"
	for _, part := range append([]string{machine}, parts...) {
		if part == "" || part == "." || part == ".." || strings.Contains(part, "/") {
			return "", &APIError{404, "not_found", fmt.Sprintf("%q is no name of a machine, device or resource", part), nil}
		}
		path += "/" + url.PathEscape(part)
	}
	return path, nil
}
