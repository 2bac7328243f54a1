node_name          = "dc1-server-1"
datacenter         = "dc1"
server             = true
bootstrap_expect   = 1
log_level          = "INFO"
enable_syslog      = false
bind_addr          = "127.0.0.1"
client_addr        = "127.0.0.1"
encrypt            = "k4NQSV8Sg0IVuJVqKNIN6DrwQHn9WTTmJ2lhHPO2nXs="
retry_join         = []
rejoin_after_leave = true
leave_on_terminate = false
skip_leave_on_interrupt = true
disable_update_check    = true
disable_remote_exec     = true
enable_script_checks    = false
enable_local_script_checks = true
recursors          = []
raft_protocol      = 3
raft_snapshot_threshold = 16384
reconnect_timeout  = "72h"
session_ttl_min    = "10s"
node_meta {
  rack = "r1"
  instance_type = "small"
}
performance {
  raft_multiplier    = 1
  leave_drain_time   = "5s"
  rpc_hold_timeout   = "7s"
}
autopilot {
  cleanup_dead_servers      = true
  last_contact_threshold    = "200ms"
  max_trailing_logs         = 250
  server_stabilization_time = "10s"
}
limits {
  http_max_conns_per_client = 200
  kv_max_value_size         = 524288
  request_limits {
    mode       = "disabled"
    read_rate  = -1
    write_rate = -1
  }
}
gossip_lan {
  probe_interval = "1s"
  probe_timeout  = "500ms"
}
