-- Bets, each in a round of its own, by random players.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "common.lua")
setup, done = common.setup, common.done

function init(args) common.open(args) end

function request()
  local id = common.next_id()
  local player, token = common.anybody()
  return common.post("/game/bet", token,
    '{"transactionId":"' .. id .. '","playerExternalId":"' .. player .. '","currency":"EUR","amount":100,'
      .. '"roundId":"' .. id .. '","gameCode":"bench","providerId":"bench"}')
end

function response(status, _, body) common.check(status, body, 1) end
