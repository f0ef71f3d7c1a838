-- publish: replace a tenant's policy and key records, unless a newer publication is there already.
--
-- KEYS[1] t:{slug}
-- ARGV[1] packed policy (bytes 2 to 7 are its version)
-- ARGV[2] seconds to live: a tenant that nobody publishes any more goes away
-- ARGV[3…] field, value of every usable key; keys that are not named are removed (revoked, expired)
-- Reply: 1 published, 0 a newer one is there
-- Example: EVALSHA <sha> 1 t:{acme} <policy> 8640000 k<digest> <expires and scopes>
if #KEYS ~= 1 or #ARGV < 2 or #ARGV % 2 ~= 0 then return redis.error_reply('ERR publish takes 1 key, 2 arguments and pairs') end
local there = redis.call('HGET', KEYS[1], 'p')
if there and struct.unpack('>I6', there, 2) > struct.unpack('>I6', ARGV[1], 2) then return 0 end
local named = {}
for i = 3, #ARGV, 2 do named[ARGV[i]] = true end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 1) == 'k' and not named[field] then redis.call('HDEL', KEYS[1], field) end
end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'p', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
