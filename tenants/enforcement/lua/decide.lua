-- decide: may this call go ahead? Key, tenant state, sliding windows, monthly quota and billing count in one step, all or nothing:
-- a call that is not granted leaves every counter as it was.
--
-- KEYS[1] t:{slug}              hash    g = server generation (8 bytes) .. counting generation (8); p = policy; k:<id16> = key records
-- KEYS[2] u:{slug}:<subject8>   string  the sliding windows of one user
-- KEYS[3] q:{slug}              hash    m|<yymm> = calls of the month; <hour>|<id16>|<class>|<generation> = calls to bill;
--                                       s|<yymm>|<window id> = calls that a limit in shadow mode would have refused
-- ARGV[1] field of the key record: k:<id16>
-- ARGV[2] digest of the presented key (32 bytes), or '' when the caller has verified the credential itself
-- ARGV[3] scopes that the call needs (bit mask)
-- ARGV[4] cost: how many calls this one counts for; 0 looks and counts nothing
-- ARGV[5] <id16>|<route class>, or '' when the call is neither quota-counted nor billed
-- ARGV[6] server generation that the client's connection belongs to
-- ARGV[7] deadline in ms of this server's clock: a call that runs later has no effect (its client has given up)
--
-- Packed forms (big-endian; tenants/enforcement/wire.py is the other half):
--   key record  c32 digest, I5 expires (s, 0 = never), I2 scopes
--   policy      B format, I6 version, I6 tenant id, then segments in order of time
--   segment     I6 until (ms), I2 size of the rest, c4 yymm, I4 start, I4 end of the period (s), B quota flags (1 = shadow),
--               I6 quota (NONE = unlimited), I6 cap (refuse above), B length of the refusal, refusal, then the windows
--   window      B id (ascending), B flags (1 = shadow), I4 limit, I4 tick (ms), I2 ticks
--   user state  I6 time of the last grant (ms), then per window B id, B n, I4 sum, n x (I2 tick, I3 calls), oldest first
-- Reply, packed: B status, I8 now (ms), and then
--   1 granted, 2 over a window, 3 over the quota:
--     I8 tenant id, I2 scopes, B id of the refusing window, I8 retry after (ms), I8 used, I8 quota, I4 end of the period (s),
--     I4 start of the billing hour (s), B shadow rejections (bit per window id, 128 = quota), c8 counting generation,
--     then per window B id, I4 limit, I4 calls free before this one, I4 ms until the oldest call leaves
--   4 refused by state or block: the refusal as published
--   5 unknown key, 6 expired key, 7 scope missing, 8 late, 9 tenant not built in this server generation, 10 policy out of date
--
-- Example: EVALSHA <sha> 3 t:{acme} u:{acme}:abcdefgh q:{acme} k:abcdefgh23456723 <digest> 1 1 'abcdefgh23456723|ml' <gen> 1795305600000
if #KEYS ~= 3 or #ARGV ~= 7 then return redis.error_reply('ERR decide takes 3 keys and 7 arguments') end
local call, unpack, pack, byte, sub = redis.call, struct.unpack, struct.pack, string.byte, string.sub
local NONE = 281474976710655 -- 2^48 - 1

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if now > tonumber(ARGV[7]) then return pack('>BI8', 8, now) end

local record = call('HMGET', KEYS[1], 'g', 'p', ARGV[1])
local generation, policy, key = record[1], record[2], record[3]
if not generation or not policy or sub(generation, 1, 8) ~= ARGV[6] then return pack('>BI8', 9, now) end

local scopes = 0
if ARGV[2] ~= '' then
  if not key or sub(key, 1, 32) ~= ARGV[2] then return pack('>BI8', 5, now) end
  local expires
  expires, scopes = unpack('>I5I2', key, 33)
  if expires ~= 0 and now >= expires * 1000 then return pack('>BI8', 6, now) end
  if ARGV[3] ~= '0' and bit.band(scopes, ARGV[3]) ~= tonumber(ARGV[3]) then return pack('>BI8', 7, now) end
end

-- The segment in force: limits that begin or end by themselves, and the months, were published ahead.
local pos, stop = 14, #policy
local until_ms, size, month, starts, ends, quota_flags, quota, cap, refusal
repeat
  if pos > stop then return pack('>BI8', 10, now) end
  until_ms, size, month, starts, ends, quota_flags, quota, cap, refusal, pos = unpack('>I6I2c4I4I4BI6I6B', policy, pos)
  if now >= until_ms then pos = pos + size - 26 else stop = pos + size - 27 end
until now < until_ms
if now < starts * 1000 then return pack('>BI8', 10, now) end
if refusal > 0 then return pack('>BI8', 4, now) .. sub(policy, pos, pos + refusal - 1) end

-- Merge neighbours (the later tick stays, so that no call leaves a window early) until at most 96 entries remain.
local function squeeze(state, from, to, tick_now)
  local ticks, counts, n = {}, {}, 0
  for at = from, to - 5, 5 do
    local a, b, x, y, z = byte(state, at, at + 4)
    n = n + 1
    ticks[n], counts[n] = (tick_now - a * 256 - b) % 65536, x * 65536 + y * 256 + z
  end
  local gap = 2
  while n > 96 and gap < 131072 do
    local kept, first = 0, 0
    for i = 1, n do
      if kept > 0 and first - ticks[i] <= gap and counts[kept] + counts[i] < 16777216 then
        ticks[kept], counts[kept] = ticks[i], counts[kept] + counts[i]
      else
        kept = kept + 1
        first = ticks[i]
        ticks[kept], counts[kept] = ticks[i], counts[i]
      end
    end
    n, gap = kept, gap * 2
  end
  for i = 1, n do ticks[i] = pack('>I2I3', (tick_now - ticks[i]) % 65536, counts[i]) end
  return table.concat(ticks, '', 1, n), n
end

local cost = tonumber(ARGV[4])
local state = call('GET', KEYS[2])
local size_of_state, at, last = 0, 7, now
if state then
  last = unpack('>I6', state)
  size_of_state = #state
  if last > now then -- the clock stepped back: hold time still for up to a minute, else forget
    if last - now > 60000 then size_of_state, last = 0, now else now = last end
  end
end

local fresh, windows = pack('>I6', now), ''
local refused_by, retry, ttl, shadow = 0, 0, 0, 0
while pos <= stop do
  local id, flags, limit, tick, span
  id, flags, limit, tick, span, pos = unpack('>BBI4I4I2', policy, pos)
  local tick_now = (now - now % tick) / tick
  local n, sum, from, to, oldest, base = 0, 0, 7, 7, tick_now, tick_now
  while at < size_of_state do -- find this window; one that the policy no longer has is dropped
    local found, entries, total, body = unpack('>BBI4', state, at)
    if found > id then break end
    at = body + entries * 5
    if found == id then
      n, sum, from, to = entries, total, body, at
      break
    end
  end
  if n > 0 then -- drop what has left the window
    base = (last - last % tick) / tick
    if tick_now - base > span then
      n, sum, from = 0, 0, to
    else
      while n > 0 do
        local a, b, x, y, z = byte(state, from, from + 4)
        oldest = base - (base - a * 256 - b) % 65536
        if oldest >= tick_now - span then break end
        sum, n, from = sum - x * 65536 - y * 256 - z, n - 1, from + 5
      end
      if n == 0 then oldest = tick_now end
    end
  end
  local free = limit - sum
  if free < cost and flags == 0 and cost > 0 then -- refused: when will `cost` calls be free?
    local need, seen, leaves = cost - free, from, tick_now
    while need > 0 and seen < to do
      local a, b, x, y, z = byte(state, seen, seen + 4)
      leaves = base - (base - a * 256 - b) % 65536
      need, seen = need - x * 65536 - y * 256 - z, seen + 5
    end
    local wait = (leaves + span + 1) * tick - now
    if need > 0 then wait = (span + 1) * tick end -- never: more than the whole limit
    if wait > retry then refused_by, retry = id, wait end
  elseif refused_by == 0 and cost > 0 then
    if free < cost then shadow = shadow + 2 ^ (id - 1) end
    local mark, calls, body = tick_now % 65536, cost, ''
    if n > 0 then
      local a, b, x, y, z = byte(state, to - 5, to - 1)
      local merged = calls + x * 65536 + y * 256 + z
      if a * 256 + b == mark and merged < 16777216 then calls, n, to = merged, n - 1, to - 5 end
      if n < 128 then body = sub(state, from, to - 1) else body, n = squeeze(state, from, to, tick_now) end
    end
    fresh = fresh .. pack('>BBI4', id, n + 1, math.min(sum + cost, 4294967295)) .. body .. pack('>I2I3', mark, calls)
    if (span + 2) * tick > ttl then ttl = (span + 2) * tick end
  end
  windows = windows .. pack('>BI4I4I4', id, limit, free > 0 and free or 0, (oldest + span + 1) * tick - now)
end

local status, used, hour = 2, 0, 0
local counted = ARGV[5] ~= '' and cost > 0
if refused_by == 0 then
  status = 1
  if counted then
    used = call('HINCRBY', KEYS[3], 'm|' .. month, cost)
    if used > cap then -- nobody sees the value in between: scripts are atomic
      used = call('HINCRBY', KEYS[3], 'm|' .. month, -cost)
      status, retry = 3, ends * 1000 - now
    else
      local second = (now - now % 1000) / 1000
      hour = second - (second - starts) % 3600
      call('HINCRBY', KEYS[3], hour .. '|' .. ARGV[5] .. '|' .. sub(generation, 9), cost)
      if quota_flags == 1 and used > quota then shadow = shadow + 128 end
    end
  end
  if status == 1 and ttl > 0 then call('SET', KEYS[2], fresh, 'PX', ttl) end
end
if not counted or status == 2 then used = tonumber(call('HGET', KEYS[3], 'm|' .. month) or 0) end
if status == 1 and shadow > 0 then
  for bit_of, id in pairs({ [1] = 1, [2] = 2, [4] = 3, [128] = 8 }) do
    if bit.band(shadow, bit_of) ~= 0 then call('HINCRBY', KEYS[3], 's|' .. month .. '|' .. id, 1) end
  end
end
return pack('>BI8I8I2BI8I8I8I4I4Bc8', status, now, unpack('>I6', policy, 8), scopes, refused_by, retry, used, quota, ends, hour,
  shadow, sub(generation, 9)) .. windows
