/**
 * Prepared statements of the embedded database. PGlite plans every query again and asks for its
 * parameter types each time; a named statement takes a third of the time (PostgreSQL documentation:
 * Extended Query).
 */

import { messages, type PGlite, protocol } from '@electric-sql/pglite'
import { DISCARD_PLANS, PlanAge } from '../statements/prepared.ts'

const { serialize } = protocol

/** Only for the holder of the session: PGlite itself does not exclude concurrent callers. */
export class PgliteStatements {
  readonly #pglite: PGlite
  /** Parameter types by the name of the prepared statement. */
  readonly #types = new Map<string, number[]>()
  readonly #planAge = new PlanAge()

  constructor(pglite: PGlite) {
    this.#pglite = pglite
  }

  /** @returns the statement's rows. @throws what PGlite throws for a query. */
  async run<R>(name: string, text: string, parameters: readonly unknown[]): Promise<R[]> {
    const types = this.#types.get(name) ?? (await this.#prepare(name, text))
    if (this.#planAge.countRun()) await this.#pglite.exec(DISCARD_PLANS)
    const values = parameters.map((value, index) => this.#toText(value, types[index] ?? 0))
    const answer = await this.#exchange(
      serialize.bind({ statement: name, values }),
      serialize.describe({ type: 'P' }),
      serialize.execute({}),
    )
    return this.#toRows(answer) as R[]
  }

  async #prepare(name: string, text: string): Promise<number[]> {
    const answer = await this.#exchange(
      serialize.parse({ name, text }),
      serialize.describe({ type: 'S', name }),
    )
    const described = answer.find((one) => one instanceof messages.ParameterDescriptionMessage)
    const types = described?.dataTypeIDs ?? []
    this.#types.set(name, types)
    return types
  }

  async #exchange(...parts: Uint8Array[]) {
    const sent = await this.#pglite.execProtocol(Buffer.concat([...parts, serialize.sync()]))
    return sent.messages
  }

  #toText(value: unknown, type: number): string | null {
    if (value === null || value === undefined) return null
    return this.#pglite.serializers[type]?.(value) ?? String(value)
  }

  #toRows(answer: Awaited<ReturnType<PGlite['execProtocol']>>['messages']) {
    const fields = answer.find((one) => one instanceof messages.RowDescriptionMessage)?.fields ?? []
    return answer
      .filter((one) => one instanceof messages.DataRowMessage)
      .map(({ fields: values }) =>
        Object.fromEntries(
          fields.map(({ name, dataTypeID }, index) => [
            name,
            this.#toValue(values[index] ?? null, dataTypeID),
          ]),
        ),
      )
  }

  #toValue(text: string | null, type: number): unknown {
    if (text === null) return null
    const parse = this.#pglite.parsers[type]
    return parse ? parse(text, type) : text
  }
}
