-- Deposits, each to a random player.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "common.lua")
setup, done = common.setup, common.done

function init(args) common.open(args) end

function request()
  local id = common.next_id()
  local player, token = common.anybody()
  return common.post("/player/wallet/deposit", token,
    '{"playerExternalId":"' .. player .. '","currency":"EUR","amount":1000,"transferId":"' .. id .. '"}')
end

function response(status, _, body) common.check(status, body, 1) end
