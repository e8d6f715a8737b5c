#version 330
// All materials of a head under three directional lights, an ambient sky and one shadow map.
const int SKIN = 0, EYE = 1, TEETH = 2, TONGUE = 3, CLOTH = 4, BROW = 5, LASH = 6, HAIR = 7;
const int STRIPES = 1, CHECKS = 2, DOTS = 3, NOISE = 4;

uniform sampler2D colors;
uniform sampler2DShadow shadow_map;
uniform int material;
uniform float alpha_above;
uniform float alpha_below;
uniform vec3 camera;
uniform vec3 light_direction[3];
uniform vec3 light_color[3];
uniform vec3 sky;
uniform vec3 ground;
uniform float shadow_strength;
uniform float exposure;
uniform vec3 cloth_color;
uniform float cloth_share;
uniform int pattern;
uniform vec3 pattern_color[2];
uniform vec3 pattern_axis[3];
uniform float pattern_duty;
uniform float pattern_softness;
uniform float pattern_opacity;
uniform float gloss;
uniform vec3 lip_tint;
uniform vec3 stubble_color;
uniform float stubble;
uniform vec3 scalp_color;
uniform float freckles;
uniform float noise_seed;
uniform float mouth_open;

in vec3 position;
in vec3 at_rest;
in vec3 normal;
in vec2 uv;
in vec4 light_position;
in float mask;
in float scalp;
in float openness;
out vec4 result;

struct Surface {
    vec3 albedo;
    vec3 wrap;        // how far light creeps around, for each channel (skin scatters red)
    float specular;
    float roughness;
    float reflectance;
};

// Edge-on triangles give places far outside of the texture, through which software renderers with anisotropic filters
// walk for minutes.
vec4 texel_at(vec2 at) { return texture(colors, clamp(at, 0.0, 1.0)); }

float hash(vec2 p) { return fract(sin(dot(p, vec2(127.1, 311.7)) + noise_seed) * 43758.5453); }

float noise(vec2 p) {
    vec2 i = floor(p), f = fract(p);
    f = f * f * (3.0 - 2.0 * f);
    return mix(mix(hash(i), hash(i + vec2(1, 0)), f.x), mix(hash(i + vec2(0, 1)), hash(i + vec2(1, 1)), f.x), f.y);
}

float lit_by_key() {
    vec3 q = light_position.xyz / light_position.w * 0.5 + 0.5;
    if (shadow_strength <= 0.0 || any(lessThan(q, vec3(0.0))) || any(greaterThan(q, vec3(1.0)))) return 1.0;
    float sum = 0.0;
    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++)
            sum += texture(shadow_map, vec3(q.xy + vec2(i, j) * (1.6 / 1024.0), q.z - 0.0035));
    return mix(1.0, sum / 9.0, shadow_strength);
}

Surface skin(vec3 albedo, float lip) {
    albedo = mix(albedo, albedo * lip_tint, lip);
    if (stubble > 0.0) {
        float grain = noise(uv * 1400.0) * 0.6 + noise(uv * 700.0) * 0.4;
        float hairs = smoothstep(0.02, 0.75, -mask) * stubble * smoothstep(0.25, 0.8, grain + 0.12);
        albedo = mix(albedo, stubble_color, clamp(hairs * 0.75, 0.0, 0.85));
    }
    if (freckles > 0.0) {
        float spots = smoothstep(0.62, 0.95, noise(uv * 520.0)) * smoothstep(0.2, 0.8, noise(uv * 25.0 + 3.0));
        albedo *= 1.0 - freckles * spots * vec3(0.18, 0.34, 0.42);
    }
    albedo = mix(albedo, scalp_color, 0.55 * scalp);
    return Surface(albedo, vec3(0.40, 0.18, 0.12), gloss * mix(1.0, 1.5, lip), mix(0.46, 0.34, lip), 0.028);
}

vec3 bumped(vec3 n, float height) {
    vec3 dx = dFdx(position), dy = dFdy(position);
    float right = dot(texel_at(uv + dFdx(uv)).rgb, vec3(0.333)) - height;
    float up = dot(texel_at(uv + dFdy(uv)).rgb, vec3(0.333)) - height;
    vec3 r1 = cross(dy, n), r2 = cross(n, dx);
    float area = dot(dx, r1);
    return normalize(abs(area) * n - 0.008 * sign(area) * (right * r1 + up * r2));
}

// 1 where the distance to the middle of the period is within the duty, with soft edges.
float band(float phase) {
    float away = abs(fract(phase) - 0.5), edge = 0.5 * pattern_duty;
    float width = max(0.5 * pattern_softness, fwidth(phase));
    return 1.0 - smoothstep(edge - 0.5 * width, edge + 0.5 * width, away);
}

vec3 patterned() {
    vec3 p = vec3(dot(pattern_axis[0], at_rest), dot(pattern_axis[1], at_rest), dot(pattern_axis[2], at_rest));
    float second = 0.0;
    if (pattern == STRIPES) second = band(p.x);
    if (pattern == CHECKS) second = mix(band(p.x), 1.0 - band(p.x), band(p.y));
    if (pattern == DOTS) {
        float away = length(fract(p.xy) - 0.5), radius = 0.2 + 0.25 * pattern_duty;
        float width = max(0.3 * pattern_softness, length(fwidth(p.xy)));
        second = 1.0 - smoothstep(radius - 0.5 * width, radius + 0.5 * width, away);
    }
    if (pattern == NOISE) {
        float cloud = 0.5 * noise(p.xy + p.z) + 0.3 * noise(2.3 * p.xy - p.z) + 0.2 * noise(5.1 * p.xy + 0.7 * p.z);
        cloud = 2.4 * (cloud - 0.5) + 0.5;
        second = smoothstep(0.0, pattern_softness + 0.05, cloud - 1.0 + pattern_duty);
    }
    return mix(pattern_color[0], pattern_color[1], second);
}

Surface other(vec3 albedo, vec3 texel) {
    if (material == EYE) {
        albedo = mix(vec3(dot(albedo, vec3(0.33))), albedo, 0.8) * 0.62;
        return Surface(albedo, vec3(0.35, 0.3, 0.28), 1.0, 0.10, 0.04);
    }
    if (material == TEETH) {
        bool enamel = min(texel.g, texel.b) > 0.6 * texel.r;
        if (enamel) albedo = pow(albedo, vec3(0.72)) * vec3(1.0, 0.95, 0.86);
        return Surface(albedo, vec3(0.5, 0.4, 0.35), 0.6, 0.3, 0.028);
    }
    if (material == TONGUE) return Surface(albedo * vec3(0.78, 0.55, 0.55), vec3(0.4, 0.2, 0.2), 0.5, 0.3, 0.028);
    if (material == CLOTH) {
        float grey = dot(albedo, vec3(0.3, 0.5, 0.2));
        albedo = mix(albedo, grey * cloth_color * 2.2, cloth_share);
        if (pattern_opacity > 0.0)
            albedo = mix(albedo, patterned() * min(0.5 + 1.1 * sqrt(grey), 1.3), pattern_opacity);
        return Surface(albedo, vec3(0.15), 0.12, 0.7, 0.028);
    }
    if (material == HAIR) return Surface(albedo, vec3(0.35), 0.35, 0.38, 0.028);
    return Surface(albedo, vec3(0.4), 0.05, 0.6, 0.028);
}

float ambient_openness() {
    if (material == TEETH || material == TONGUE) {
        float lit = mix(0.30, material == TEETH ? 0.85 : 0.6, clamp(mouth_open * 1.6, 0.0, 1.0));
        return lit * smoothstep(-0.42, 0.02, mask);
    }
    if (material == SKIN) return mix(openness, mix(0.05, 0.45, mouth_open), smoothstep(1.1, 1.9, mask));
    return openness;
}

vec3 tone(vec3 color) {
    color *= exposure;
    float peak = max(max(color.r, color.g), color.b);
    if (peak > 0.6) color *= (0.6 + 0.4 * (1.0 - exp(-(peak - 0.6) / 0.4))) / peak;
    color = mix(color, vec3(dot(color, vec3(0.33))), clamp((peak - 0.8) * 0.25, 0.0, 0.5));
    return pow(clamp(color, 0.0, 1.0), vec3(1.0 / 2.2));
}

void main() {
    vec4 texel = texel_at(uv);
    if (material == EYE && texel.a < 0.5) discard;  // the cornea's cap is clear: the iris behind it shines
    float alpha = 1.0;
    if (material >= BROW) {
        alpha = material == HAIR ? clamp(texel.a * 1.25, 0.0, 1.0) : texel.a;
        if (alpha <= alpha_above || alpha > alpha_below) discard;
        if (alpha_above > 0.3) alpha = 1.0;
    }
    bool is_skin = material == SKIN;
    vec3 n = normalize(normal), view = normalize(camera - position);
    if (material >= CLOTH && dot(n, view) < 0.0) n = -n;
    vec3 albedo = pow(texel.rgb, vec3(2.2));
    float lip = smoothstep(0.3, 0.9, mask) * (1.0 - smoothstep(1.2, 1.8, mask));
    Surface s;
    if (is_skin) {
        s = skin(albedo, lip);
        n = bumped(n, dot(texel.rgb, vec3(0.333)));
    } else s = other(albedo, texel.rgb);

    float open = ambient_openness(), key_lit = lit_by_key(), reach = smoothstep(0.0, 0.55, open);
    vec3 ambient = mix(ground, sky, n.y * 0.5 + 0.5);
    vec3 color = s.albedo * ambient * mix(vec3(open), vec3(sqrt(open)), is_skin ? vec3(0.7, 0.2, 0.1) : vec3(0.0));
    for (int i = 0; i < 3; i++) {
        float facing = dot(n, light_direction[i]);
        vec3 diffuse = max(vec3(0.0), (vec3(facing) + s.wrap) / (1.0 + s.wrap));
        diffuse = diffuse * diffuse * 0.35 + diffuse * 0.65;
        float lit = i == 0 ? key_lit : reach;
        vec3 soft = is_skin && i == 0 ? pow(vec3(lit), vec3(0.55, 0.85, 1.0)) : vec3(lit);
        if (material == TEETH || material == TONGUE) soft = vec3(open);
        color += s.albedo * light_color[i] * diffuse * soft * mix(0.55, 1.0, reach);
        vec3 between = normalize(light_direction[i] + view);
        float exponent = 2.0 / pow(s.roughness, 4.0) - 2.0;
        float lobe = pow(max(dot(n, between), 0.0), exponent) * (exponent + 8.0) / 25.13 * max(facing, 0.0);
        float fresnel = s.reflectance + (1.0 - s.reflectance) * pow(1.0 - max(dot(between, view), 0.0), 5.0);
        vec3 sheen = material == HAIR ? mix(vec3(1.0), s.albedo * 3.0, 0.6) : vec3(is_skin ? 2.0 : 1.0);
        color += light_color[i] * lobe * fresnel * s.specular * (i == 0 ? lit : 1.0) * reach * 1.2 * sheen;
    }
    color += ambient * pow(1.0 - max(dot(n, view), 0.0), 4.0) * 0.12 * open * s.specular;
    result = vec4(tone(color), alpha);
}
