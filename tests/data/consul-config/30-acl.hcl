acl = {
  enabled                  = true
  default_policy           = "deny"
  down_policy              = "extend-cache"
  enable_token_persistence = true
  tokens = {
    initial_management = "3e8b5f0a-9f0e-4b0a-8b2f-6a0d1c2e3f40"
    agent              = "3e8b5f0a-9f0e-4b0a-8b2f-6a0d1c2e3f40"
  }
}
