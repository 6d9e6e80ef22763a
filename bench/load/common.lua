-- What every script here shares: ids that never repeat, requests written by hand (wrk.format would cost more than
-- the rest together), answers read and counted, and a fixed pace where one is asked for.
--
-- wrk is started with one thread, so one Lua state sees all connections; it cannot tell them apart.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } bench_instant;
int clock_gettime(int clock, bench_instant *instant);
]]

local common = {}
local CLOCK_MONOTONIC = 1
local instant = ffi.new("bench_instant")
local at = 0 -- of the last id
local threads = {}
local answered_by -- finds the id in an answer
local details = {} -- by number, of what was sent and not answered OK: whatever its script wants back

-- Read by done() from the thread's state, therefore global. wrk 4.1 hands a table over with keys and values
-- exchanged, so that tables here must read the same both ways.
answered = 0 -- operations that were answered OK
answers = 0 -- responses of any kind
wrong = 0 -- operations answered otherwise, and responses that are no answer
first_wrong = ""
unanswered = {} -- numbers sent and not answered OK: number = number
paced = 0 -- requests that had a time to leave at
lateness = {} -- by whole milliseconds: 1000 * requests that left so late + the milliseconds
local LATEST = 999

local function now_us()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, instant)
  return tonumber(instant.seconds) * 1e6 + tonumber(instant.nanoseconds) / 1e3
end

-- Reads `name=value` arguments; lists are separated by commas.
--   run       begins every id of this run
--   check     1: ask the endpoint that reads and answers the same without a database
--   tokens    one for each site
--   sites     how the players' names of each site begin
--   players   how many each site has
--   rate      requests a second to send, evenly spaced; 0: each connection sends when it is answered
--   size      operations in a batch
--   lines     a file of what was signed before, one to a line
--   amount    what a player asks for
function common.open(args)
  local options = {}
  for _, argument in ipairs(args) do
    local name, value = argument:match("^(%w+)=(.*)$")
    options[name] = value
  end
  common.run = assert(options.run, "run=")
  common.is_check = options.check == "1"
  common.size = tonumber(options.size or 1000)
  common.players = tonumber(options.players or 1)
  common.amount = options.amount
  common.tokens, common.sites = {}, {}
  for token in (options.tokens or ""):gmatch("[^,]+") do table.insert(common.tokens, token) end
  for site in (options.sites or ""):gmatch("[^,]+") do table.insert(common.sites, site) end
  math.randomseed(tonumber(options.seed or 1))
  answered_by = '"externalId": ?"' .. common.run .. "%-(%d+)"
  common.lines = {}
  if (options.lines or "") ~= "" then
    for line in io.lines(options.lines) do table.insert(common.lines, line) end
  end
  local rate = tonumber(options.rate or 0)
  if rate > 0 then common.pace(1e6 / rate) end
end

-- Send by the clock: each request has its own instant, whatever became of the ones before it.
function common.pace(interval_us)
  local due
  function delay()
    local present = now_us()
    due = due or present
    local mine = due
    due = due + interval_us
    local late = math.min(LATEST, math.max(0, math.floor((present - mine) / 1e3)))
    paced = paced + 1
    lateness[late] = (lateness[late] or late) + 1000
    return math.max(0, math.ceil((mine - present) / 1e3))
  end
end

-- A new id; `its` comes back from check() with the answer.
function common.next_id(its)
  at = at + 1
  unanswered[at] = at
  details[at] = its or true
  return common.run .. "-" .. at
end

-- A random player: the name, and the token of its site.
function common.anybody()
  local site = math.random(#common.sites)
  return common.sites[site] .. "-" .. math.random(common.players), common.tokens[site]
end

function common.post(path, token, body)
  if common.is_check then path = "/wallet/check/" .. path:match("[^/]+$") end
  return "POST /v1" .. path .. " HTTP/1.1\r\nHost: " .. wrk.host
    .. "\r\nAuthorization: Bearer " .. token
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

-- Count one answer. Returns what next_id() was given, if it was answered as it should be.
function common.check(status, body, expected)
  answers = answers + 1
  local good, from = 0, 1
  while true do
    local _, found = body:find('"code":"OK"', from, true)
    if not found then break end
    good, from = good + 1, found + 1
  end
  local number = tonumber(body:match(answered_by))
  local its = number and details[number]
  if status == 200 and good == expected and its and not body:find('"duplicate":true', 1, true) then
    unanswered[number], details[number] = nil, nil
    answered = answered + (expected == 1 and 1 or expected - 1)
    return its
  end
  common.refuse(status, body)
end

-- Count an answer that was not the expected one.
function common.refuse(status, body)
  wrong = wrong + 1
  if first_wrong == "" then first_wrong = status .. " " .. body:sub(1, 300) end
end

-- Count an answer that was.
function common.accept()
  answers = answers + 1
  answered = answered + 1
end

function common.setup(thread)
  table.insert(threads, thread)
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

-- By how much the given share of the requests left late at most, in milliseconds.
local function late_ms(thread, share)
  local counts, left = {}, thread:get("paced") * share
  for one, other in pairs(thread:get("lateness")) do
    local both = math.max(one, other)
    counts[both % 1000] = math.floor(both / 1000)
  end
  for milliseconds = 0, LATEST do
    left = left - (counts[milliseconds] or 0)
    if left <= 0 then return milliseconds end
  end
  return LATEST
end

-- One line of JSON, for whoever started wrk.
function common.done(summary, latency)
  local numbers = {}
  local thread = threads[1]
  for number in pairs(thread:get("unanswered")) do table.insert(numbers, number) end
  local errors = summary.errors
  io.write("BENCH ", string.format(
    '{"answered":%d,"answers":%d,"wrong":%d,"first_wrong":%s,"unanswered":[%s],"duration_us":%d,'
      .. '"p50_us":%d,"p95_us":%d,"p99_us":%d,"max_us":%d,"late_p99_ms":%d,'
      .. '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}',
    thread:get("answered"), thread:get("answers"), thread:get("wrong"), quoted(thread:get("first_wrong")),
    table.concat(numbers, ","), summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99), latency.max,
    late_ms(thread, 0.99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout), "\n")
end

return common
