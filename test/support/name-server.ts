/** A name server on this machine (RFC 1035), which Node's own resolvers ask as long as it runs. */

import dgram, { type Socket } from 'node:dgram'
import dns from 'node:dns'
import { once } from 'node:events'

/** The IPv4 addresses of a name; null: no answer at all. */
export type Zone = (name: string) => readonly string[] | null

export type NameServer = {
  /** Names that were asked for, oldest first, once per question for IPv4. */
  asked: string[]
  close(): Promise<void>
}

const TYPE_A = 1
const HEADER_BYTES = 12
const TTL_SECONDS = 1

export async function startNameServer(zone: Zone): Promise<NameServer> {
  const socket = dgram.createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = readQuestion(query)
    if (type === TYPE_A) asked.push(name)
    const addresses = zone(name)
    if (addresses === null) return
    const records = type === TYPE_A ? addresses : []
    send(socket, query, end, records, { port, address })
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const before = dns.getServers()
  dns.setServers([`127.0.0.1:${socket.address().port}`])
  return {
    asked,
    async close() {
      dns.setServers(before)
      socket.close()
      await once(socket, 'close')
    },
  }
}

function readQuestion(query: Buffer) {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

/** The question again, and the records of the name it holds (a pointer to byte 12). */
function send(
  socket: Socket,
  query: Buffer,
  end: number,
  addresses: readonly string[],
  to: { port: number; address: string },
): void {
  const head = Buffer.from(query.subarray(0, end))
  head.writeUInt16BE(0x8180, 2)
  head.writeUInt16BE(addresses.length, 6)
  head.writeUInt32BE(0, 8)
  const records = addresses.map((address) => {
    const record = Buffer.from([
      0xc0,
      0x0c,
      0,
      TYPE_A,
      0,
      1,
      0,
      0,
      0,
      TTL_SECONDS,
      0,
      4,
      0,
      0,
      0,
      0,
    ])
    for (const [i, byte] of address.split('.').entries()) record[12 + i] = Number(byte)
    return record
  })
  socket.send(Buffer.concat([head, ...records]), to.port, to.address)
}
