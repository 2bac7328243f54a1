-- the same write in etcd's v2 API: a form
local n = 0
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
request = function()
  n = (n + 1) % 1000
  return wrk.format("PUT", "/v2/keys/bench/" .. n, headers, "value=0123456789abcdef")
end
