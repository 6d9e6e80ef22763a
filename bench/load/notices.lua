-- Notices of the provider, signed before: each line is path, account, signature and body, separated by tabs.
-- None is sent twice: what the product has seen before, it need not store.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "common.lua")
setup, done = common.setup, common.done
local sent = 0

function init(args) common.open(args) end

function request()
  sent = sent + 1
  local line = assert(common.lines[sent], "more notices were signed than this is needed")
  local path, account, signature, body = line:match("^([^\t]+)\t([^\t]+)\t([^\t]+)\t(.*)$")
  return "POST " .. path .. " HTTP/1.1\r\nHost: " .. wrk.host
    .. "\r\nX-Sandbox-Account: " .. account .. "\r\nX-Sandbox-Signature: " .. signature
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function response(status, _, body)
  if status == 200 then common.accept() else common.refuse(status, body) end
end
