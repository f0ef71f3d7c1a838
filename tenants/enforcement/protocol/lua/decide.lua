-- decide: may this call go ahead? Key, tenant state, sliding windows, monthly quota and billing count in one step, all or nothing:
-- a call that is not granted leaves every counter as it was.
--
-- KEYS[1] t:{slug}              hash    g<server generation> = counting generation (8 bytes each); p = policy; k<digest> = keys
-- KEYS[2] u:{slug}:<subject8>   string  the sliding windows of one user
-- KEYS[3] q:{slug}              hash    m|<yymm> = calls of the month; c<hour, I4><id16>|<class>|<counting generation> = calls to bill;
--                                       s|<yymm>|<1 minute, 2 hour, 3 day, 4 month> = calls that a limit in shadow mode would refuse
-- ARGV[1] field of the key: k<HMAC of the presented text, 32 bytes>, so that finding it verifies it (nobody without the pepper can
--         aim at a field, so the look-up's timing tells nothing); '' when the caller has verified the credential itself
-- ARGV[2] cost * 65536 + scopes: how many calls this one counts for (below 2^24; 0 looks and counts nothing), and the scopes that it
--         needs (bit mask)
-- ARGV[3] <id16>|<route class>, or '' when the call is neither quota-counted nor billed; '~' when it is quota-counted and billed later,
--         by settle.lua: then the calls are a lease
-- ARGV[4] g<server generation that the client's connection belongs to>: a tenant that was not built in it has no such field
-- ARGV[5] deadline in ms of this server's clock: a call that runs later has no effect (its client has given up)
--
-- Packed forms (big-endian; tenants/enforcement/protocol/wire.py is the other half):
--   key         I5 expires (s, 0 = never), I2 scopes, I6 tenant id
--   policy      B format, I6 version, then segments in order of time
--   segment     I6 until (ms), I2 size of the rest, c6 field of the month, I4 start, I4 end of the period (s),
--               B shadow (bits 1 minute, 2 hour, 4 day, 8 month), I6 quota, I6 cap (refuse above), I4 calls a minute, I4 an hour,
--               I4 a day, B length of the refusal, refusal; all bits set = unlimited
--   user state  I6 time of the last grant (ms), then for minute, hour and day: B n, I4 sum, I2 oldest tick; then for each
--               n x (I2 tick, I3 calls) oldest first, and the newest entry (its tick is that of the last grant)
-- Reply, packed: B status, I8 now (ms), and then
--   1 granted, 2 over a window, 3 over the quota, 4 refused by state or block, 7 scope missing (4 and 7 count nothing):
--     I8 tenant id, I2 scopes, B refusing window (1 minute, 2 hour, 3 day), I8 retry after (ms), I8 used, I8 quota, I4 end of the
--     period (s), I4 start of the billing hour (s), B shadow refusals (bits as above), c8 counting generation,
--     then for minute, hour and day: I4 limit, I4 calls free before this one, I4 ms until the oldest call leaves;
--     for 4 also the refusal as published
--   5 unknown key, 6 expired key, 8 late, 9 tenant not built in this server generation, 10 policy out of date
--
-- Example: EVALSHA <sha> 3 t:{acme} u:{acme}:abcdefgh q:{acme} k<digest> 65537 'abcdefgh23456723|ml' g<generation> 1795305600000
if #KEYS ~= 3 or #ARGV ~= 5 then return redis.error_reply('ERR decide takes 3 keys and 5 arguments') end
local call, unpack, pack, sub, byte = redis.call, struct.unpack, struct.pack, string.sub, string.byte
local UNLIMITED, MOST_ENTRIES, KEPT_ENTRIES = 4294967295, 128, 96

local clock = call('TIME')
local micros = tonumber(clock[2])
local now = clock[1] * 1000 + (micros - micros % 1000) / 1000
if now > tonumber(ARGV[5]) then return pack('>BI8', 8, now) end

local record = call('HMGET', KEYS[1], ARGV[4], 'p', ARGV[1])
local counting, policy, key = record[1], record[2], record[3]
if not counting or not policy then return pack('>BI8', 9, now) end

local needed = ARGV[2] % 65536
local cost = (ARGV[2] - needed) / 65536
local scopes, tenant = 0, 0
local status, told = 1, ''
if ARGV[1] ~= '' then
  if not key then return pack('>BI8', 5, now) end
  local expires
  expires, scopes, tenant = unpack('>I5I2I6', key)
  if expires ~= 0 and now >= expires * 1000 then return pack('>BI8', 6, now) end
  -- Who is refused whatever is left only looks (cost 0), so that the answer still tells the limits.
  if needed > 0 and bit.band(scopes, needed) ~= needed then status, cost = 7, 0 end
end

-- The segment in force: limits that begin or end by themselves, and the months, were published ahead.
local next_segment, pos = 8
local until_ms, size, month, starts, ends, shadowed, quota, cap, a_minute, an_hour, a_day, refusal
repeat
  if next_segment > #policy then return pack('>BI8', 10, now) end
  until_ms, size, month, starts, ends, shadowed, quota, cap, a_minute, an_hour, a_day, refusal, pos =
    unpack('>I6I2c6I4I4BI6I6I4I4I4B', policy, next_segment)
  next_segment = next_segment + 8 + size
until now < until_ms
if now < starts * 1000 then return pack('>BI8', 10, now) end
if refusal > 0 and status == 1 then status, cost, told = 4, 0, sub(policy, pos, pos + refusal - 1) end

local state, last = false, now
local n1, n2, n3, sum1, sum2, sum3, oldest1, oldest2, oldest3 = 0, 0, 0, 0, 0, 0, 0, 0, 0
if a_minute ~= UNLIMITED or an_hour ~= UNLIMITED or a_day ~= UNLIMITED then
  state = call('GET', KEYS[2])
  if state then
    last, n1, sum1, oldest1, n2, sum2, oldest2, n3, sum3, oldest3 = unpack('>I6BI4I2BI4I2BI4I2', state)
    if last > now then -- the clock stepped back: hold time still for up to a minute, else forget
      if last - now > 60000 then state = false else now = last end
    end
  end
end

-- The windows of span + 1 ticks, one after the other: drop what has left, see what is free, and lay out what to write.
local at = 28 -- where the window's entries lie in the state
local free1, resets1, entries1, calls1, free2, resets2, entries2, calls2, free3, resets3, entries3, calls3
local refused_by, retry, over = 0, 0, 0
for id = 1, 3 do
  local limit, n, sum, oldest, tick, span, shadow
  if id == 1 then
    limit, n, sum, oldest, tick, span, shadow = a_minute, n1, sum1, oldest1, 1, 59999, shadowed % 2 >= 1
  elseif id == 2 then
    limit, n, sum, oldest, tick, span, shadow = an_hour, n2, sum2, oldest2, 100, 36000, shadowed % 4 >= 2
  else
    limit, n, sum, oldest, tick, span, shadow = a_day, n3, sum3, oldest3, 2000, 43200, shadowed % 8 >= 4
  end
  local tick_now = (now - now % tick) / tick
  local free, resets, entries, calls = limit, 0, '', 0
  local from, newest = at, at + n * 5
  at = newest + 5
  if limit == UNLIMITED then
    n, sum, oldest = 0, 0, tick_now
  else
    local there, base = state, tick_now
    if there then
      base = (last - last % tick) / tick
      oldest = base - (base - oldest) % 65536
      if tick_now - base > span then -- all have left
        there, n, sum, oldest = false, 0, 0, tick_now
      else
        while oldest < tick_now - span do -- drop what has left
          local _, _, x, y, z, a, b = byte(state, from, from + 6)
          sum, from, n = sum - x * 65536 - y * 256 - z, from + 5, n - 1
          oldest = base - (base - a * 256 - b) % 65536
        end
      end
    else
      n, sum, oldest = 0, 0, tick_now
    end
    free, resets = limit - sum, (oldest + span + 1) * tick - now
    if free < cost and cost > 0 and not shadow then -- refused: when will `cost` calls be free?
      local missing, seen, leaves = cost - free, from, tick_now
      while missing > 0 and there and seen <= newest do
        local a, b, x, y, z = byte(state, seen, seen + 4)
        leaves = base - (base - a * 256 - b) % 65536
        missing, seen = missing - x * 65536 - y * 256 - z, seen + 5
      end
      if missing > 0 then leaves = tick_now end -- never: more than the whole limit
      local wait = (leaves + span + 1) * tick - now
      if wait > retry then refused_by, retry = id, wait end
    elseif refused_by == 0 then
      calls = cost
      if there then
        if tick_now == base then -- the same tick as the last call: one entry for both, unless it is full
          local x, y, z = byte(state, newest + 2, newest + 4)
          calls = calls + x * 65536 + y * 256 + z
        end
        if tick_now == base and calls < 16777216 then
          entries = sub(state, from, newest - 1)
        else
          entries, n, calls = sub(state, from, newest + 4), n + 1, cost
        end
        if n >= MOST_ENTRIES then
          -- Merge neighbours (the later tick stays, so that no call leaves early) until few enough entries remain.
          local ticks, each = {}, {}
          n = 0
          for mark = 1, #entries, 5 do
            local a, b, x, y, z = byte(entries, mark, mark + 4)
            n = n + 1
            ticks[n], each[n] = (tick_now - a * 256 - b) % 65536, x * 65536 + y * 256 + z
          end
          local gap = 2
          while n > KEPT_ENTRIES do
            local kept, first = 0, 0
            for i = 1, n do
              local together = kept > 0 and each[kept] + each[i] or 0
              if kept > 0 and (first - ticks[i] <= gap and together < 16777216 or gap > 131072) then
                ticks[kept], each[kept] = ticks[i], together < 16777216 and together or 16777215 -- only a shadow window can get that full
              else
                kept = kept + 1
                first = ticks[i]
                ticks[kept], each[kept] = ticks[i], each[i]
              end
            end
            n, gap = kept, gap * 2
          end
          oldest = tick_now - ticks[1]
          for i = 1, n do ticks[i] = pack('>I2I3', (tick_now - ticks[i]) % 65536, each[i]) end
          entries = table.concat(ticks, '', 1, n)
        end
      end
      sum = sum + cost
      if sum > UNLIMITED then sum = UNLIMITED end
      if free < cost then over = over + 2 ^ (id - 1) end
    end
    if free < 0 then free = 0 end
  end
  oldest = oldest % 65536
  if id == 1 then
    free1, resets1, entries1, calls1, n1, sum1, oldest1 = free, resets, entries, calls, n, sum, oldest
  elseif id == 2 then
    free2, resets2, entries2, calls2, n2, sum2, oldest2 = free, resets, entries, calls, n, sum, oldest
  else
    free3, resets3, entries3, calls3, n3, sum3, oldest3 = free, resets, entries, calls, n, sum, oldest
  end
end

local used, hour = 0, 0
if refused_by > 0 then
  status = 2
elseif ARGV[3] ~= '' and cost > 0 then
  used = call('HINCRBY', KEYS[3], month, cost)
  if used > cap then -- nobody sees the value in between: scripts are atomic
    used = call('HINCRBY', KEYS[3], month, -cost)
    status, retry = 3, ends * 1000 - now
  else
    local second = (now - now % 1000) / 1000
    hour = second - (second - starts) % 3600
    if ARGV[3] ~= '~' then call('HINCRBY', KEYS[3], pack('>c1I4', 'c', hour) .. ARGV[3] .. '|' .. counting, cost) end
  end
end
if status ~= 1 or cost == 0 or ARGV[3] == '' then
  used = tonumber(call('HGET', KEYS[3], month) or 0)
elseif used > quota and shadowed >= 8 then
  over = over + 8
end
if status == 1 and cost > 0 then
  if a_minute ~= UNLIMITED or an_hour ~= UNLIMITED or a_day ~= UNLIMITED then
    local ttl = a_day ~= UNLIMITED and '86404000' or an_hour ~= UNLIMITED and '3600200' or '60001'
    call('SET', KEYS[2], pack('>I6BI4I2BI4I2BI4I2c0I2I3c0I2I3c0I2I3', now, n1, sum1, oldest1, n2, sum2, oldest2, n3, sum3, oldest3,
      entries1, now % 65536, calls1, entries2, (now - now % 100) / 100 % 65536, calls2,
      entries3, (now - now % 2000) / 2000 % 65536, calls3), 'PX', ttl)
  end
  if over > 0 then
    for id = 1, 4 do
      if bit.band(over, 2 ^ (id - 1)) ~= 0 then call('HINCRBY', KEYS[3], 's' .. sub(month, 2) .. '|' .. id, 1) end
    end
  end
end
return pack('>BI8I8I2BI8I8I8I4I4Bc8I4I4I4I4I4I4I4I4I4', status, now, tenant, scopes, refused_by, retry, used, quota,
  ends, hour, status == 1 and cost > 0 and over or 0, counting, a_minute, free1, resets1, an_hour, free2, resets2, a_day, free3, resets3) .. told
