# /etc/meshagent.d/server.hcl on a host that holds the catalog
server           = true
bootstrap_expect = 1
bind_addr        = "{{ GetPrivateIP }}"
client_addr      = "127.0.0.1"
