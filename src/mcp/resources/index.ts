import type { Resource, ResourceTemplate } from '../definitions/resource.ts'
import { conversation } from './conversation.ts'
import { metrics } from './metrics.ts'
import { usage } from './usage.ts'

/** Every resource, in the order clients see them. */
export const resources: readonly Resource[] = [metrics, usage]

/** Every template of resources, in the order clients see them. */
export const resourceTemplates: readonly ResourceTemplate[] = [conversation]
