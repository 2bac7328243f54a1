// Prometheus' own Consul discovery (github.com/prometheus/prometheus/discovery/consul) as a small program: Debian's
// prometheus is built without it. Reads one consul_sd_configs entry from the YAML file named first and writes every
// change of the targets to the file named second, in the form of file_sd_configs, which Debian's prometheus reads.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"syscall"

	"github.com/go-kit/log"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/consul"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"gopkg.in/yaml.v2"
)

type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	fail(err)
	config := consul.DefaultSDConfig
	fail(yaml.UnmarshalStrict(text, &config))
	discovery, err := consul.NewDiscovery(&config, log.NewLogfmtLogger(os.Stderr))
	fail(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	updates := make(chan []*targetgroup.Group)
	go discovery.Run(ctx, updates)
	known := map[string]*targetgroup.Group{}
	for {
		select {
		case <-ctx.Done():
			return
		case groups := <-updates:
			for _, one := range groups {
				if one != nil {
					known[one.Source] = one
				}
			}
			write(os.Args[2], known)
		}
	}
}

func write(path string, known map[string]*targetgroup.Group) {
	groups := []group{}
	for _, one := range known {
		for _, target := range one.Targets {
			labels := map[string]string{}
			for name, value := range one.Labels.Merge(target) {
				// file_sd_configs drops labels that begin with __, so they travel under another name
				if name != model.AddressLabel {
					labels["sd"+string(name)] = string(value)
				}
			}
			groups = append(groups, group{[]string{string(target[model.AddressLabel])}, labels})
		}
	}
	sort.Slice(groups, func(a, b int) bool { return groups[a].Targets[0] < groups[b].Targets[0] })
	text, err := json.MarshalIndent(groups, "", " ")
	fail(err)
	fail(os.WriteFile(path+".new.json", text, 0o644))
	fail(os.Rename(path+".new.json", path))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
