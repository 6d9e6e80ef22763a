-- Deposits as players make them: the merchant obtains a key with a request that was signed before, the player
-- sends the form of the page. Half of the requests are keys; a deposit counts when the form is answered.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "common.lua")
setup, done = common.setup, common.done
local keys = {} -- obtained, and not used yet
local first, last, asked, sent = 1, 0, 0, 0

function init(args)
  common.open(args)
  asked = math.random(#common.lines) -- another player begins in every run
end

local function obtain()
  asked = asked % #common.lines + 1
  return "GET " .. common.lines[asked] .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\n\r\n"
end

function request()
  if first > last then return obtain() end
  local key = keys[first]
  keys[first] = nil
  first = first + 1
  sent = sent + 1
  local form = "key=" .. key .. "&form_token=" .. common.run .. "-" .. sent
    .. "&method=card&amount=" .. common.amount .. "&lang=en"
  return "POST /cashier/deposit HTTP/1.1\r\nHost: " .. wrk.host
    .. "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #form .. "\r\n\r\n" .. form
end

function response(status, _, body)
  local key = status == 200 and body:match('"key": ?"([^"]+)"')
  if key then
    last = last + 1
    keys[last] = key
  elseif status == 303 then
    common.accept()
  else
    common.refuse(status, body)
  end
end
