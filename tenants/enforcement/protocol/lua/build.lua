-- build: put the database's knowledge in place of everything that is there: after a loss, for a new month, and now and then.
--
-- KEYS[1] r:{slug}
-- ARGV[1] server generation .. yymm  ARGV[2] epoch of this build  ARGV[3] seconds to live  ARGV[4] use of the month in GPU seconds
-- ARGV[5…] id, packed hold of every hold
-- Reply: number of holds. The caller holds the tenant's lock in the database, so no grant is in the making meanwhile.
-- Example: EVALSHA <sha> 1 r:{acme} <generation>2611 5f0c… 8640000 72210 8e0f… <packed>
if #KEYS ~= 1 or #ARGV < 4 or #ARGV % 2 ~= 0 then return redis.error_reply('ERR build takes 1 key and an even number of arguments') end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'g', ARGV[1], 'e', ARGV[2], 'used', ARGV[4])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], 'h:' .. ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return (#ARGV - 4) / 2
