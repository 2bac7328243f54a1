connect {
  enabled     = true
  ca_provider = "consul"
  ca_config {
    leaf_cert_ttl    = "72h"
    private_key_type = "ec"
    private_key_bits = 256
  }
}
config_entries {
  bootstrap = [
    {
      Kind = "proxy-defaults"
      Name = "global"
      Config {
        protocol = "http"
      }
    },
    {
      Kind = "service-splitter"
      Name = "web"
      Splits = [
        { Weight = 90 },
        { Weight = 10, Service = "web-next" },
      ]
    },
  ]
}
