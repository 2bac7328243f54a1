// Package ext stands in for the nested module of the same name that Traefik extends its configuration with: nothing.
package ext

// HTTP is embedded into the HTTP configuration.
type HTTP struct{}

// Router is embedded into a router.
type Router struct{}
