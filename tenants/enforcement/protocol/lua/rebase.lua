-- rebase: the ledger's count of what came before this generation has changed; correct the month's calls by the difference.
--
-- KEYS[1] t:{slug}  KEYS[2] q:{slug}
-- ARGV[1] g<server generation>  ARGV[2] the counting generation that the caller saw
-- ARGV[3] field of the base (b|<yymm>)  ARGV[4] field of the month's calls (m|<yymm>)  ARGV[5] what the ledger knows now
-- Reply: the correction made; 0 also when the generation is another one
-- Example: EVALSHA <sha> 2 t:{acme} q:{acme} g<server generation> <counting generation> b|2611 m|2611 1210
if #KEYS ~= 2 or #ARGV ~= 5 then return redis.error_reply('ERR rebase takes 2 keys and 5 arguments') end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
local difference = tonumber(ARGV[5]) - tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or 0)
if difference ~= 0 then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
  redis.call('HINCRBY', KEYS[2], ARGV[4], difference)
end
return difference
