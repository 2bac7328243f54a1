# The catalog server, on a marked host; its data stays in /var/lib/meshagent when an allocation goes.
#     nomad job run nomad-jobs/servers.nomad.hcl
#
# There are no ACLs yet: whoever reaches the HTTP port may read and write everything. Let only trusted hosts reach it.
job "meshagent-servers" {
  datacenters = ["dc1"]
  type        = "service"
  priority    = 90

  update {
    max_parallel     = 1
    min_healthy_time = "15s"
    healthy_deadline = "3m"
  }

  group "server" {
    # Clusters of servers are not built yet. When they are: count = 3, bootstrap_expect = 3, retry_join from
    # nomadService "meshagent-server", and a constraint distinct_hosts.
    count = 1

    constraint {
      attribute = "${meta.meshagent_server}"
      value     = "true"
    }

    network {
      mode = "host"
      port "http" { static = 8500 }
      port "dns" { static = 8600 }
    }

    # Nomad's own service discovery: no Consul is needed to start the catalog.
    service {
      name     = "meshagent-server"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        path     = "/v1/status/leader"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "meshagent" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      config {
        command = "/usr/local/bin/meshagent"
        args    = ["agent", "-config-dir=${NOMAD_TASK_DIR}/config", "-data-dir=/var/lib/meshagent"]
      }

      template {
        destination   = "local/config/server.hcl"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        data          = <<-EOT
          server             = true
          bootstrap_expect   = 1
          bind_addr          = "{{ env "NOMAD_IP_http" }}"
          client_addr        = "127.0.0.1 {{ env "NOMAD_IP_http" }}"
        EOT
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
