# Three catalog servers, one for each marked host; their data stays in /var/lib/meshagent when an allocation goes.
#     nomad job run nomad-jobs/servers.nomad.hcl
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
    count = 3

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    constraint {
      attribute = "${meta.meshagent_server}"
      value     = "true"
    }

    network {
      mode = "host"
      port "http" { static = 8500 }
      port "dns" { static = 8600 }
      port "server" { static = 8300 }
      port "serf" { static = 8301 }
      port "grpc_tls" { static = 8503 }
    }

    # Nomad's own service discovery: no Consul is needed to start the catalog.
    service {
      name     = "meshagent-server"
      provider = "nomad"
      port     = "serf"

      check {
        type     = "http"
        port     = "http"
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
          bootstrap_expect   = 3
          bind_addr          = "{{ env "NOMAD_IP_serf" }}"
          client_addr        = "127.0.0.1 {{ env "NOMAD_IP_http" }}"
          leave_on_terminate = false
          retry_join         = [{{ range nomadService "meshagent-server" }}"{{ .Address }}",{{ end }}]
        EOT
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
