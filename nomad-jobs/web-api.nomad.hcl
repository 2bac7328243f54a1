# Two services that find each other by name through the agent of their host.
#     nomad job run nomad-jobs/web-api.nomad.hcl
#     dig @127.0.0.1 -p 8600 api.service.consul SRV
job "web-api" {
  datacenters = ["dc1"]
  type        = "service"

  group "api" {
    count = 2

    network {
      port "http" {}
    }

    service {
      name     = "api"
      port     = "http"
      provider = "consul"
      tags     = ["v1"]

      check {
        type     = "http"
        path     = "/"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "api" {
      driver = "exec"

      config {
        command = "/usr/bin/python3"
        args    = ["-m", "http.server", "${NOMAD_PORT_http}", "--directory", "local"]
      }

      template {
        destination = "local/index.html"
        data        = "api {{ env \"NOMAD_ALLOC_ID\" }}\n"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }

  group "web" {
    count = 1

    network {
      port "http" {}
    }

    service {
      name     = "web"
      port     = "http"
      provider = "consul"

      check {
        type     = "http"
        path     = "/"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "web" {
      driver = "exec"

      config {
        command = "/usr/bin/python3"
        args    = ["-m", "http.server", "${NOMAD_PORT_http}", "--directory", "local"]
      }

      # rendered again whenever an instance of api comes, fails or goes
      template {
        destination = "local/index.html"
        change_mode = "noop"
        data        = <<-EOT
          api is at:
          {{ range service "api" }}{{ .Address }}:{{ .Port }}
          {{ end }}
        EOT
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
