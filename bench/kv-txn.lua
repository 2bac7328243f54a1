-- A transaction of 64 sets; keys in turn, so that no two requests in flight touch the same one
local n = 0
request = function()
  n = (n + 1) % 100
  local ops = {}
  for at = 1, 64 do
    ops[at] = string.format('{"KV":{"Verb":"set","Key":"bench-txn/%d/%d","Value":"MDEyMzQ1Njc4OWFiY2RlZg=="}}', n, at)
  end
  return wrk.format("PUT", "/v1/txn", nil, "[" .. table.concat(ops, ",") .. "]")
end
