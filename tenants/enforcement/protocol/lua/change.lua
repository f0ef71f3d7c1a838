-- change: what the database has just committed about a hold: part of it was used, or it has ended.
--
-- KEYS[1] r:{slug}
-- ARGV[1] server generation .. yymm  ARGV[2] id of the hold  ARGV[3] 'left' with what it still holds, or 'end' with what it used at last
-- ARGV[4] that amount in GPU seconds  ARGV[5] its cost: of what is left, or of all of it when it has ended
-- ARGV[6] ms for which the cost of an ended hold counts on, until rated usage shows it
-- Reply: 1 done, 0 no such running hold (told before, or known to a later build), 9 not built
-- What leaves a hold is added to the month's use in the same step, so that the sum never dips. Telling twice changes nothing.
-- Example: EVALSHA <sha> 1 r:{acme} <generation>2611 8e0f… end 35210 24451388 60000
if #KEYS ~= 1 or #ARGV ~= 6 then return redis.error_reply('ERR change takes 1 key and 6 arguments') end
if redis.call('HGET', KEYS[1], 'g') ~= ARGV[1] then return 9 end
local FORM = '>I8I8I8I6c8'
local packed = redis.call('HGET', KEYS[1], 'h:' .. ARGV[2])
if not packed then return 0 end
local amount, gpus, cost, ended, tag = struct.unpack(FORM, packed)
if ended ~= 0 then return 0 end
local told, used = tonumber(ARGV[4]), 0
if ARGV[3] == 'left' then
  used, amount, cost = math.max(0, amount - told), told, tonumber(ARGV[5])
else
  local clock = redis.call('TIME')
  used, amount, gpus, cost = told, 0, 0, tonumber(ARGV[5])
  ended = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[6])
end
if ended ~= 0 and cost == 0 then
  redis.call('HDEL', KEYS[1], 'h:' .. ARGV[2])
else
  redis.call('HSET', KEYS[1], 'h:' .. ARGV[2], struct.pack(FORM, amount, gpus, cost, ended, tag))
end
if used > 0 then redis.call('HINCRBY', KEYS[1], 'used', used) end
return 1
