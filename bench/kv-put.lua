-- PUT of a small value; keys in turn, so that no two requests in flight touch the same one
local n = 0
request = function()
  n = (n + 1) % 1000
  return wrk.format("PUT", "/v1/kv/bench/" .. n, nil, "0123456789abcdef")
end
