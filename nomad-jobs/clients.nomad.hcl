# One agent on every host: what runs there registers with it and asks it.
#     nomad job run nomad-jobs/clients.nomad.hcl
job "meshagent-clients" {
  datacenters = ["dc1"]
  type        = "system"
  priority    = 85

  update {
    max_parallel = 1
    stagger      = "10s"
  }

  # hosts that already run a server need no second agent
  constraint {
    attribute = "${meta.meshagent_server}"
    operator  = "!="
    value     = "true"
  }

  group "client" {
    network {
      mode = "host"
      port "http" { static = 8500 }
      port "dns" { static = 8600 }
      port "grpc" { static = 8502 }
      port "serf" { static = 8301 }
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
        destination   = "local/config/client.hcl"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        data          = <<-EOT
          bind_addr          = "{{ env "NOMAD_IP_serf" }}"
          client_addr        = "127.0.0.1"
          leave_on_terminate = true
          retry_join         = [{{ range nomadService "meshagent-server" }}"{{ .Address }}",{{ end }}]
          ports {
            grpc = 8502
          }
        EOT
      }

      resources {
        cpu    = 200
        memory = 128
      }
    }
  }
}
