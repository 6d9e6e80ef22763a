-- Game batches: pairs of a bet by a random player and the win that ends its round.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "common.lua")
setup, done = common.setup, common.done

function init(args) common.open(args) end

function request()
  local id = common.next_id()
  local site = math.random(#common.sites)
  local items = {}
  for pair = 1, common.size / 2 do
    local bet = id .. "-" .. pair
    local rest = '","playerExternalId":"' .. common.sites[site] .. "-" .. math.random(common.players)
      .. '","currency":"EUR","roundId":"' .. bet .. '","gameCode":"bench","providerId":"bench","amount":'
    items[2 * pair - 1] = '{"type":"bet","transactionId":"' .. bet .. rest .. "100}"
    items[2 * pair] = '{"type":"win","transactionId":"' .. bet .. 'w","referenceId":"' .. bet .. rest
      .. '90,"isRoundFinished":true}'
  end
  return common.post("/game/batch", common.tokens[site], '{"operations":[' .. table.concat(items, ",") .. "]}")
end

-- One "OK" for the batch and one for each operation.
function response(status, _, body) common.check(status, body, common.size + 1) end
