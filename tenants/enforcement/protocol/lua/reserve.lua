-- reserve: hold GPUs for a job, or hold more for one that runs, if what is used, held and asked together fits under every cap.
--
-- KEYS[1] r:{slug}  hash  g = server generation (8 bytes) .. yymm of the month; e = epoch of the build; used = seconds used this month;
--                         h:<id> = holds
-- ARGV[1] server generation .. yymm  ARGV[2] id of the hold  ARGV[3] 'new', or 'more' for a hold that is there  ARGV[4] GPU seconds to hold
-- ARGV[5] cap of the month in GPU seconds, '' = unlimited  ARGV[6] use of the month that the caller read in the ledger
-- ARGV[7] GPUs in ten-thousandths  ARGV[8] most such at once, '' = unlimited  ARGV[9] most holds
-- ARGV[10] its cost in micro units of money  ARGV[11] money left, '' = unlimited  ARGV[12] tag of its project (8 bytes)
-- ARGV[13] money left of that project, '' = unlimited
-- hold, packed: I8 GPU seconds left to use, I8 GPUs in ten-thousandths, I8 cost of what is left, I6 ms (0 = runs; else it has ended and
--   only its cost counts, until then), c8 tag of its project
-- Reply: {status, used, held, GPUs held, cost held, cost held of the project, epoch}; status 1 granted, 2 over the month's cap, 3 too many
--   holds, 4 there with another amount (new) or not there (more), 5 too many GPUs, 6 over the money, 7 over the project's, 9 not built
-- Held amounts are those of the other holds. The same id with the same amount is granted again and counted once.
-- No running hold is forgotten by itself: the database says when a hold has ended (change.lua), or builds all of them anew (build.lua).
-- Example: EVALSHA <sha> 1 r:{acme} <generation>2611 8e0f… new 36000 360000 72210 10000 80000 1000 25000000 '' <8 zero bytes> ''
if #KEYS ~= 1 or #ARGV ~= 13 then return redis.error_reply('ERR reserve takes 1 key and 13 arguments') end
local there = redis.call('HGETALL', KEYS[1])
local fields = {}
for i = 1, #there, 2 do fields[there[i]] = there[i + 1] end
if fields.g ~= ARGV[1] then return { 9 } end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local mine, FORM = 'h:' .. ARGV[2], '>I8I8I8I6c8'
local asked, gpus, cost = tonumber(ARGV[4]), tonumber(ARGV[7]), tonumber(ARGV[10])
local used = math.max(tonumber(fields.used), tonumber(ARGV[6]))
local held, busy, money, projects, count = 0, 0, 0, 0, 0
for name, packed in pairs(fields) do
  if string.sub(name, 1, 2) == 'h:' and name ~= mine then
    local amount, some, price, ended, tag = struct.unpack(FORM, packed)
    if ended == 0 then
      held, busy, count = held + amount, busy + some, count + 1
    elseif ended <= now then
      redis.call('HDEL', KEYS[1], name)
    end
    if ended == 0 or ended > now then
      money = money + price
      if tag == ARGV[12] then projects = projects + price end
    end
  end
end
local function answer(status) return { status, used, held, busy, money, projects, fields.e } end
local known = fields[mine]
if ARGV[3] == 'new' and known then
  local amount, some, _, ended = struct.unpack(FORM, known)
  return answer((ended == 0 and amount == asked and some == gpus) and 1 or 4)
end
if ARGV[3] == 'more' and not known then return answer(4) end
if ARGV[3] == 'new' and count >= tonumber(ARGV[9]) then return answer(3) end
if ARGV[8] ~= '' and busy + gpus > tonumber(ARGV[8]) then return answer(5) end
if ARGV[5] ~= '' and used + held + asked > tonumber(ARGV[5]) then return answer(2) end
if ARGV[11] ~= '' and money + cost > tonumber(ARGV[11]) then return answer(6) end
if ARGV[13] ~= '' and projects + cost > tonumber(ARGV[13]) then return answer(7) end
redis.call('HSET', KEYS[1], mine, struct.pack(FORM, asked, gpus, cost, 0, ARGV[12]))
return answer(1)
