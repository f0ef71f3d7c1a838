-- reserve: hold an amount of a meter (GPU seconds) for a job, if what is used, held and asked together fits under the cap.
--
-- KEYS[1] r:{slug}  hash  g = server generation (8 bytes) .. yymm of the month; used = what the ledger knows of the month;
--                         h:<id> = holds
-- ARGV[1] server generation of the connection  ARGV[2] yymm of the month  ARGV[3] id of the hold  ARGV[4] amount asked
-- ARGV[5] cap, '' = unlimited  ARGV[6] rate: units used per 1,000 s while the job runs  ARGV[7] ms until it lapses without heartbeat
-- ARGV[8] most holds at a time
-- hold, packed: B state (1 running, 2 settled), I8 amount (held, or used when settled), I6 started, I6 last heartbeat, I6 lapses (ms), I8 rate
-- Reply: {status, used, held, asked, lapses (ms)}; status 1 granted, 2 over the cap, 3 too many holds, 4 the id is held with another amount,
--   9 not built in this server generation or month
-- The same id with the same amount is granted again and counted once. A hold whose heartbeat is overdue counts what it can have used.
-- Example: EVALSHA <sha> 1 r:{acme} <generation> 2611 job-7 36000 360000 2000 120000 100
if #KEYS ~= 1 or #ARGV ~= 8 then return redis.error_reply('ERR reserve takes 1 key and 8 arguments') end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local there = redis.call('HGETALL', KEYS[1])
local fields = {}
for i = 1, #there, 2 do fields[there[i]] = there[i + 1] end
if fields.g ~= ARGV[1] .. ARGV[2] then return { 9 } end
local used, held, count, asked = tonumber(fields.used), 0, 0, tonumber(ARGV[4])
for name, packed in pairs(fields) do
  if string.sub(name, 1, 2) == 'h:' then
    local state, amount, started, heartbeat, lapses, rate = struct.unpack('>BI8I6I6I6I8', packed)
    if state == 1 and name == 'h:' .. ARGV[3] and lapses > now then
      return { amount == asked and 1 or 4, used, held, asked, lapses }
    end
    if state == 2 then
      used = used + amount
    elseif lapses <= now then
      used = used + math.min(amount, math.ceil((heartbeat - started) * rate / 1000000))
    else
      held, count = held + amount, count + 1
    end
  end
end
if fields['h:' .. ARGV[3]] then return { 4, used, held, asked, 0 } end
if count >= tonumber(ARGV[8]) then return { 3, used, held, asked, 0 } end
if ARGV[5] ~= '' and used + held + asked > tonumber(ARGV[5]) then return { 2, used, held, asked, 0 } end
local lapses = now + tonumber(ARGV[7])
redis.call('HSET', KEYS[1], 'h:' .. ARGV[3], struct.pack('>BI8I6I6I6I8', 1, asked, now, now, lapses, tonumber(ARGV[6])))
return { 1, used, held, asked, lapses }
