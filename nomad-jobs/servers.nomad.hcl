# Three catalog servers, one for each host, with their data on host volumes.
#     nomad job run nomad-jobs/servers.nomad.hcl
variable "datacenters" {
  type    = list(string)
  default = ["dc1"]
}

variable "servers" {
  type    = number
  default = 3
}

variable "meshagent" {
  type        = string
  default     = "/usr/local/bin/meshagent"
  description = "Where the executable is on the hosts"
}

job "meshagent-servers" {
  datacenters = var.datacenters
  type        = "service"
  priority    = 90

  update {
    max_parallel     = 1
    min_healthy_time = "15s"
    healthy_deadline = "3m"
  }

  group "server" {
    count = var.servers

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    volume "data" {
      type   = "host"
      source = "meshagent-server"
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

      volume_mount {
        volume      = "data"
        destination = "${NOMAD_TASK_DIR}/data"
      }

      config {
        command = var.meshagent
        args    = ["agent", "-config-dir=${NOMAD_TASK_DIR}/config", "-data-dir=${NOMAD_TASK_DIR}/data"]
      }

      template {
        destination   = "local/config/server.hcl"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        data          = <<-EOT
          server             = true
          bootstrap_expect   = ${var.servers}
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
