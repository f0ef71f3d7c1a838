-- absorb: take over what the database knows: use of the month, and which settled holds are part of it; or build after a loss.
--
-- KEYS[1] r:{slug}
-- ARGV[1] 'g' as the caller saw it ('' = none)  ARGV[2] the new one: server generation (8 bytes) .. yymm  ARGV[3] seconds to live
-- ARGV[4] use of the month as the ledger has it  ARGV[5] number of ids that follow
-- ARGV[6…] ids of settled holds that are in that use; then id, packed hold of every running one that shall be there (after a loss)
-- Reply: 1 done, 0 another one was faster
-- Example: EVALSHA <sha> 1 r:{acme} <g> <g> 8640000 72210 1 job-7
if #KEYS ~= 1 or #ARGV < 5 then return redis.error_reply('ERR absorb takes 1 key and at least 5 arguments') end
if (redis.call('HGET', KEYS[1], 'g') or '') ~= ARGV[1] then return 0 end
local ids = tonumber(ARGV[5])
for i = 6, 5 + ids do redis.call('HDEL', KEYS[1], 'h:' .. ARGV[i]) end
for i = 6 + ids, #ARGV, 2 do redis.call('HSETNX', KEYS[1], 'h:' .. ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'g', ARGV[2], 'used', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
