-- begin: start a new counting generation of a tenant with what the ledger knows, unless someone was faster or calls were counted since.
--
-- KEYS[1] t:{slug}  KEYS[2] q:{slug}
-- ARGV[1] g<server generation>  ARGV[2] the new counting generation (8 bytes)
-- ARGV[3] seconds to live  ARGV[4] number of fields that the caller saw in q and their sum, as '<n>:<sum>' ('0:0' = none)
-- ARGV[5…] field, value: the month's calls so far (m|<yymm>) and the same as base (b|<yymm>)
-- Reply: 1 begun, 0 look again
-- The caller has handed everything in q to the ledger before, so that it may be deleted here.
-- Example: EVALSHA <sha> 2 t:{acme} q:{acme} g<server generation> <counting generation> 8640000 0:0 m|2611 1200 b|2611 1200
if #KEYS ~= 2 or #ARGV < 4 or #ARGV % 2 ~= 0 then return redis.error_reply('ERR begin takes 2 keys, 4 arguments and pairs') end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
local n, sum = 0, 0
local there = redis.call('HGETALL', KEYS[2])
for i = 1, #there, 2 do
  if there[i] ~= '#' then n, sum = n + 1, sum + tonumber(there[i + 1]) end
end
if string.format('%d:%d', n, sum) ~= ARGV[4] then return 0 end
redis.call('DEL', KEYS[2])
-- A small hash is kept as a list, in which every call would search its field; a long value makes it a table from the start.
redis.call('HSET', KEYS[2], '#', string.rep('#', 65))
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 1) == 'g' then redis.call('HDEL', KEYS[1], field) end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
