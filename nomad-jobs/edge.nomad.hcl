# An ingress gateway in the built-in proxy: port 8080 of its host leads to the services of the mesh, by host name.
#     nomad job run nomad-jobs/edge.nomad.hcl
#     curl -H 'Host: web.ingress.consul' http://HOST:8080/
job "edge" {
  datacenters = ["dc1"]
  type        = "service"

  group "gateway" {
    count = 2

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      mode = "host"
      port "ready" {}
      port "http" { static = 8080 }
    }

    # what it lets in; writing the same again changes nothing
    task "entry" {
      driver = "raw_exec"

      lifecycle {
        hook = "prestart"
      }

      config {
        command = "/usr/local/bin/meshagent"
        args    = ["config", "write", "${NOMAD_TASK_DIR}/edge.hcl"]
      }

      template {
        destination = "local/edge.hcl"
        data        = <<-EOT
          Kind = "ingress-gateway"
          Name = "edge"
          Listeners = [
            {
              Port     = 8080
              Protocol = "http"
              Services = [{ Name = "*" }]
            },
          ]
        EOT
      }

      resources {
        cpu    = 50
        memory = 64
      }
    }

    task "gateway" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      config {
        command = "/usr/local/bin/meshagent"
        args = [
          "connect", "proxy", "-gateway=ingress", "-register", "-service=edge",
          "-proxy-id=edge-${NOMAD_ALLOC_ID}", "-address=${NOMAD_ADDR_ready}", "-drain-time=20s",
        ]
      }

      resources {
        cpu    = 200
        memory = 96
      }
    }
  }
}
