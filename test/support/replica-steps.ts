import fc from 'fast-check'

/** `which` chooses among what there is. */
export type ReplicaStep<Kind> = { kind: Kind; which: number; replica: 0 | 1 }

/** What is done at one of two replicas, one after the other. A kind that is named twice comes twice as often. */
export const replicaSteps = <Kind extends string>(kinds: readonly Kind[], count: number) =>
  fc.array(
    fc.record({
      kind: fc.constantFrom(...kinds),
      which: fc.nat(1000),
      replica: fc.constantFrom<0 | 1>(0, 1),
    }),
    { minLength: count, maxLength: count },
  )
