import type { Resource } from '../resource.ts'
import { metrics } from './metrics.ts'
import { usage } from './usage.ts'

/** Every resource, in the order clients see them. */
export const resources: readonly Resource[] = [metrics, usage]
