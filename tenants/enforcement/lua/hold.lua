-- hold: what happens to one hold after it was reserved.
--
-- KEYS[1] r:{slug}
-- ARGV[1] server generation of the connection .. yymm of the month  ARGV[2] id of the hold
-- ARGV[3] 'heartbeat' with ARGV[4] ms until it lapses; or 'settle' with ARGV[4] the amount really used (0 cancels)
-- Reply: {1, lapses (ms)} done; {0} no such running hold (unknown, lapsed, settled before); {9} not built
-- A settled amount stays counted until `absorb` says that the ledger has it. Settling twice changes nothing.
-- Example: EVALSHA <sha> 1 r:{acme} <generation>2611 job-7 settle 35210
if #KEYS ~= 1 or #ARGV ~= 4 then return redis.error_reply('ERR hold takes 1 key and 4 arguments') end
if redis.call('HGET', KEYS[1], 'g') ~= ARGV[1] then return { 9 } end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local packed = redis.call('HGET', KEYS[1], 'h:' .. ARGV[2])
if not packed then return { 0 } end
local state, amount, started, heartbeat, lapses, rate = struct.unpack('>BI8I6I6I6I8', packed)
if state ~= 1 then return { 0 } end
if ARGV[3] == 'heartbeat' then
  if lapses <= now then return { 0 } end
  heartbeat, lapses = now, now + tonumber(ARGV[4])
else
  state, amount = 2, tonumber(ARGV[4])
end
redis.call('HSET', KEYS[1], 'h:' .. ARGV[2], struct.pack('>BI8I6I6I6I8', state, amount, started, heartbeat, lapses, rate))
return { 1, lapses }
