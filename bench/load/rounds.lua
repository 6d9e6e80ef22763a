-- Rounds: a bet by a random player; once it is answered, the win that ends its round. Half are bets, half wins.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "common.lua")
setup, done = common.setup, common.done
local won = {} -- answered bets whose win was not sent yet
local first, last = 1, 0

function init(args) common.open(args) end

local function bet()
  local player, token = common.anybody()
  local its = { player = player, token = token }
  its.id = common.next_id(its)
  local id = its.id
  return common.post("/game/bet", token,
    '{"transactionId":"' .. id .. '","playerExternalId":"' .. player .. '","currency":"EUR","amount":100,'
      .. '"roundId":"' .. id .. '","gameCode":"bench","providerId":"bench"}')
end

local function win(its)
  local id = common.next_id()
  return common.post("/game/win", its.token,
    '{"transactionId":"' .. id .. '","referenceId":"' .. its.id .. '","playerExternalId":"' .. its.player
      .. '","currency":"EUR","amount":90,"roundId":"' .. its.id
      .. '","gameCode":"bench","providerId":"bench","isRoundFinished":true}')
end

function request()
  if first > last then return bet() end
  local its = won[first]
  won[first] = nil
  first = first + 1
  return win(its)
end

function response(status, _, body)
  local its = common.check(status, body, 1)
  if type(its) == "table" then
    last = last + 1
    won[last] = its
  end
end
