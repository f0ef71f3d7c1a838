-- trim: remove billing counts that the ledger has, if they have not changed since; renew the life of the hash.
--
-- KEYS[1] q:{slug}
-- ARGV[1] seconds to live  ARGV[2…] field, value as the ledger has it
-- Reply: number of fields removed
-- Example: EVALSHA <sha> 1 q:{acme} 8640000 'c<hour>abcdefgh23456723|ml|ccccccc1' 12
if #KEYS ~= 1 or #ARGV % 2 ~= 1 then return redis.error_reply('ERR trim takes 1 key, 1 argument and pairs') end
local removed = 0
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then removed = removed + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return removed
