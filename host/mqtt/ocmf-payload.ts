// OCMF data sets as they are published: the text alone; what it is of stands in its properties.
import { z } from 'zod';
import type { AboutTransaction } from '../ocmf/maker.ts';
import { type Published, schemaName } from './record-payloads.ts';

/** OCMF has no media type of its own. */
export const ocmfContentType = 'text/plain; charset=utf-8';

/** `PREFIX/GATEWAY/METER/ocmf`: header, payload and signature, with bars between them. */
export const ocmfTopicSchema = z.string().regex(/^OCMF\|\{[^|]*\}\|\{[^|]*\}$/);

/** A signed data set of a meter. */
export function ocmfPublication(meter: string, text: string, about: AboutTransaction): Published {
  return {
    payload: Buffer.from(text, 'utf8'),
    properties: {
      contentType: ocmfContentType,
      payloadFormatIndicator: true,
      userProperties: {
        schema: schemaName('ocmf'),
        meter,
        transaction: `${about.transaction}`,
        firstSequence: `${about.first}`,
        lastSequence: `${about.last}`,
      },
    },
  };
}
