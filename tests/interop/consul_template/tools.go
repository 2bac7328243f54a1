//go:build tools

// Package tools keeps consul-template in go.mod, which tests/prepare builds.
package tools

import _ "github.com/hashicorp/consul-template"
