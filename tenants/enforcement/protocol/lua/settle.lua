-- settle: a lease has ended; bill what was used of it, and give back to the month what was not. Windows keep what the lease took.
--
-- KEYS[1] t:{slug}  KEYS[2] q:{slug}
-- ARGV[1] g<server generation>  ARGV[2] the counting generation that the lease was taken in
-- ARGV[3] field of the calls to bill (c<hour, I4><id16>|<class>|<counting generation>)
-- ARGV[4] end of the period in which it was taken (s)  ARGV[5] calls used  ARGV[6] calls not used
-- Reply: 1 settled, 0 the generation is another one (the ledger has what the process counted)
-- Example: EVALSHA <sha> 2 t:{acme} q:{acme} g<server generation> ccccccc1 'c<hour>abcdefgh23456723|ml|ccccccc1' 1798761600 48 2
if #KEYS ~= 2 or #ARGV ~= 6 then return redis.error_reply('ERR settle takes 2 keys and 6 arguments') end
local known = redis.call('HMGET', KEYS[1], ARGV[1], 'p')
if known[1] ~= ARGV[2] or not known[2] then return 0 end
if tonumber(ARGV[5]) > 0 then redis.call('HINCRBY', KEYS[2], ARGV[3], ARGV[5]) end
local policy, pos = known[2], 8
while pos <= #policy do
  local _, size, month, _, ends = struct.unpack('>I6I2c6I4I4', policy, pos)
  if ends == tonumber(ARGV[4]) then
    if tonumber(ARGV[6]) > 0 then redis.call('HINCRBY', KEYS[2], month, -tonumber(ARGV[6])) end
    break
  end
  pos = pos + 8 + size
end
return 1
